/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit-kvm-probe: runs a little 64-bit guest under KVM and says whether it behaved. Exit status 0: it did; 1: it did not,
 * and why is the one line on standard output.
 *
 * What kernels need and half-working KVMs lack: long mode with paging, writing MSRs, swapping GS, and above all taking an
 * exception through an interrupt descriptor table. Each step reports itself through a port, so a failure names its step. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY  0x200000u
#define GDT     0x1000u
#define PML4    0x2000u
#define PDPT    0x3000u
#define PD      0x4000u
#define CODE    0x8000u
#define HANDLER 0x9000u
#define IDT     0xa000u
#define STACK   0x100000u
#define PORT    0xe9u

#define SAY(c) 0xb0, (c), 0xe6, PORT /* mov al, c; out PORT, al */
static const uint8_t guest[] = {
  SAY ('a'), 0x31, 0xc0, 0x0f, 0xa2,                                           /* cpuid */
  SAY ('b'), 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32,                         /* rdmsr EFER */
  SAY ('c'), 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8,                               /* mov rax, cr3; mov cr3, rax */
  SAY ('d'), 0xb9, 0x01, 0x01, 0x00, 0xc0, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, /* wrmsr GS_BASE, 0 */
  0x0f,      0x01, 0xf8,                                                       /* swapgs */
  SAY ('e'), 0xcc,                                                             /* int3, through the IDT */
  SAY ('f'), 0xf4,                                                             /* hlt */
};
static const uint8_t handler[] = { SAY ('i'), 0x48, 0xcf }; /* iretq */

static const char *const steps[]
    = { "the first instruction",      "cpuid", "reading an MSR", "switching page tables", "swapgs", "an exception",
        "returning from an exception" };

static int
fail (const char *what, const char *why)
{
  (void) printf ("%s: %s\n", what, why);
  (void) fflush (stdout);
  _exit (1);
}

static void
must (int ok, const char *what)
{
  if (!ok)
    (void) fail (what, strerror (errno));
}

static void
on_alarm (int signum)
{
  static const char text[] = "guest code hangs: no answer within 2 s\n";
  (void) signum;
  (void) !write (STDOUT_FILENO, text, sizeof text - 1);
  _exit (1);
}

static void
memory_fill (uint8_t *m)
{
  static const uint64_t gdt[] = { 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull };
  static const uint64_t tables[][2] = { { PML4, PDPT | 3 }, { PDPT, PD | 3 }, { PD, 0x83 } };
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
    memcpy (m + tables[i][0], &tables[i][1], sizeof tables[i][1]);
  memcpy (m + GDT, gdt, sizeof gdt);
  memcpy (m + CODE, guest, sizeof guest);
  memcpy (m + HANDLER, handler, sizeof handler);
  uint8_t gate[16] = { HANDLER & 0xff, HANDLER >> 8, 8, 0, 0, 0x8e }; /* interrupt gate, code segment 8 */
  memcpy (m + IDT + 3 * sizeof gate, gate, sizeof gate);
}

static void
cpu_prepare (int kvm, int cpu)
{
  struct kvm_sregs s;
  struct kvm_regs r = { .rip = CODE, .rflags = 2, .rsp = STACK };
  size_t size = sizeof (struct kvm_cpuid2) + 256 * sizeof (struct kvm_cpuid_entry2);
  struct kvm_cpuid2 *id = calloc (1, size);
  must (id != NULL, "memory");
  id->nent = 256;
  must (ioctl (kvm, KVM_GET_SUPPORTED_CPUID, id) == 0 && ioctl (cpu, KVM_SET_CPUID2, id) == 0, "KVM_SET_CPUID2");
  free (id);
  must (ioctl (cpu, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
  struct kvm_segment code = { .limit = 0xffffffff, .selector = 8, .present = 1, .type = 11, .s = 1, .l = 1, .g = 1 };
  struct kvm_segment data = { .limit = 0xffffffff, .selector = 16, .present = 1, .type = 3, .s = 1, .db = 1, .g = 1 };
  s.cs = code;
  s.ds = s.es = s.fs = s.gs = s.ss = data;
  s.gdt.base = GDT;
  s.gdt.limit = 23;
  s.idt.base = IDT;
  s.idt.limit = 4095;
  s.cr0 = 0x80050033;
  s.cr3 = PML4;
  s.cr4 = 0x20;
  s.efer = 0x501;
  must (ioctl (cpu, KVM_SET_SREGS, &s) == 0, "KVM_SET_SREGS");
  must (ioctl (cpu, KVM_SET_REGS, &r) == 0, "KVM_SET_REGS");
}

/* Runs to the hlt. Each letter the guest says has to be the next one. */
static void
cpu_run (int cpu, const struct kvm_run *run)
{
  static const char expected[] = "abcdeif";
  size_t at = 0;
  for (int i = 0; i < 64; i++) {
    const char *step = steps[at < 7 ? at : 6];
    must (ioctl (cpu, KVM_RUN, 0) == 0, step);
    if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT) {
      char said = *((const char *) run + run->io.data_offset);
      if (at >= sizeof expected - 1 || said != expected[at])
        (void) fail (step, "the guest went astray");
      at++;
    } else if (run->exit_reason == KVM_EXIT_HLT && expected[at] == '\0') {
      return;
    } else {
      char why[96];
      (void) snprintf (why, sizeof why, "KVM gave up on the guest (exit %u, detail %u)", run->exit_reason,
                       run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? run->internal.suberror : 0);
      (void) fail (step, why);
    }
  }
  (void) fail ("64-bit guest code", "it never ends");
}

int
main (void)
{
  struct sigaction act = { .sa_handler = on_alarm };
  must (sigaction (SIGALRM, &act, NULL) == 0, "signal");
  (void) alarm (2);
  int kvm = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  must (kvm >= 0, "/dev/kvm");
  int vm = ioctl (kvm, KVM_CREATE_VM, 0);
  must (vm >= 0, "KVM_CREATE_VM");
  (void) ioctl (vm, KVM_SET_TSS_ADDR, 0xfffbd000ul); /* only some processors need it */
  uint8_t *memory = mmap (NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must (memory != MAP_FAILED, "guest memory");
  memory_fill (memory);
  struct kvm_userspace_memory_region region = { .memory_size = MEMORY, .userspace_addr = (uint64_t) (uintptr_t) memory };
  must (ioctl (vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
  int cpu = ioctl (vm, KVM_CREATE_VCPU, 0);
  must (cpu >= 0, "KVM_CREATE_VCPU");
  int size = ioctl (kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  must (size >= (int) sizeof (struct kvm_run), "KVM_GET_VCPU_MMAP_SIZE");
  struct kvm_run *run = mmap (NULL, (size_t) size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  must (run != MAP_FAILED, "vcpu");
  cpu_prepare (kvm, cpu);
  cpu_run (cpu, run);
  (void) puts ("64-bit guest code runs");
  return 0;
}
