/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Context of a stack that is left, from its saved sp upwards: x19 … x30 (frame pointer, return address), d8 … d15, fpcr. */
#if defined(__aarch64__) && !defined(HV_CORO_UCONTEXT)
  .text
  .p2align 4
  .globl hv_switch_to
  .hidden hv_switch_to
  .type hv_switch_to, %function
hv_switch_to:
  .cfi_startproc
  hint #34 /* bti c */
  sub sp, sp, #176
  .cfi_adjust_cfa_offset 176
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  .cfi_rel_offset x29, 80
  .cfi_rel_offset x30, 88
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mrs x9, fpcr
  str x9, [sp, #160]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldr x9, [sp, #160]
  msr fpcr, x9
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #176
  .cfi_adjust_cfa_offset -176
  .cfi_restore x29
  .cfi_restore x30
  ret
  .cfi_endproc
  .size hv_switch_to, . - hv_switch_to

/* First code on a new stack: x20 = entry, x19 = its argument. Unwinders stop here: there is no caller. */
  .p2align 4
  .globl hv_switch_start
  .hidden hv_switch_start
  .type hv_switch_start, %function
hv_switch_start:
  .cfi_startproc
  .cfi_undefined x30
  hint #36 /* bti j */
  mov x29, xzr
  mov x30, xzr
  mov x0, x19
  blr x20
  brk #1
  .cfi_endproc
  .size hv_switch_start, . - hv_switch_start

  .section .note.gnu.property, "a"
  .p2align 3
  .long 4, 16, 5
  .asciz "GNU"
  .long 0xc0000000, 4, 1, 0
#endif
  .section .note.GNU-stack, "", %progbits
