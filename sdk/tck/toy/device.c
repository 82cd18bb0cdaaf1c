/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing a machine: devices, memory, processors. "config" changes the definition, "live" the machine as it runs. */
#include "toy.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* --- images --- */

static uint64_t
virtual_size (const struct hv_machine_disk *d, uint64_t file_size)
{
  uint64_t size = 0;
  if (d->format == HV_DISK_RAW)
    return file_size;
  HV_CLEAN (hv_fd) int fd = open (d->path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && pread (fd, &size, sizeof size, 24) == (ssize_t) sizeof size ? be64toh (size) : 0;
}

void
toy_disk_info (const struct hv_machine_disk *d, struct hv_block_info *ret)
{
  struct stat st;
  ret->disk = d->name;
  HV_SET (ret, path, d->path);
  HV_SET (ret, format, d->format);
  HV_SET (ret, layers, 1 + d->backing.count);
  HV_SET (ret, read_only, d->read_only);
  if (stat (d->path, &st) < 0)
    return;
  HV_SET (ret, allocated_bytes, (uint64_t) st.st_blocks * 512);
  HV_SET (ret, virtual_size_bytes, virtual_size (d, (uint64_t) st.st_size));
}

/* --- attach, detach --- */

static int
device_index (const struct hv_machine *m, const char *name, int *ret_nic)
{
  for (uint32_t i = 0; i < m->disks.count; i++)
    if (strcmp (m->disks.items[i].name, name) == 0)
      return *ret_nic = 0, (int) i;
  for (uint32_t i = 0; i < m->nics.count; i++)
    if (strcmp (m->nics.items[i].name, name) == 0)
      return *ret_nic = 1, (int) i;
  return -1;
}

static void *
appended (struct hv_host *h, const void *items, uint32_t count, const void *one, size_t size)
{
  char *all = hv_alloc (h, ((uint64_t) count + 1) * size);
  if (all == NULL)
    return NULL;
  if (count > 0)
    memcpy (all, items, count * size);
  memcpy (all + count * size, one, size);
  return all;
}

static int
machine_add (struct toy *t, struct hv_machine *m, const struct hv_attach_args *a, struct hv_err *err)
{
  int nic;
  const char *name = HV_HAS (a, disk) ? a->disk.name : a->nic.name;
  if (device_index (m, name, &nic) >= 0)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' has a device '%s' already", a->vm, name);
  if (m->disks.count + m->nics.count >= 32)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "VM '%s' has 32 devices; that is the limit", a->vm);
  void *all = HV_HAS (a, disk) ? appended (t->host, m->disks.items, m->disks.count, &a->disk, sizeof a->disk)
                               : appended (t->host, m->nics.items, m->nics.count, &a->nic, sizeof a->nic);
  if (all == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (HV_HAS (a, disk))
    m->disks.items = all, m->disks.count++, m->has.disks = 1;
  else
    m->nics.items = all, m->nics.count++, m->has.nics = 1;
  return 0;
}

static int
machine_take (struct hv_machine *m, const char *vm, const char *name, struct hv_err *err)
{
  int nic, at = device_index (m, name, &nic);
  if (at < 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no device '%s'", vm, name);
  if (nic) {
    m->nics.count--;
    memmove (&m->nics.items[at], &m->nics.items[at + 1], (m->nics.count - (uint32_t) at) * sizeof *m->nics.items);
  } else {
    m->disks.count--;
    memmove (&m->disks.items[at], &m->disks.items[at + 1], (m->disks.count - (uint32_t) at) * sizeof *m->disks.items);
  }
  return 0;
}

/* What "live" and "config" ask for can be done in this state. */
static int
scope_check (const struct toy_vm *vm, int live, int config, struct hv_err *err)
{
  if (!live && !config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: nothing would change");
  return live && vm->state != HV_VM_RUNNING && vm->state != HV_VM_PAUSED ? toy_vm_wrong_state (vm, err) : 0;
}

static int
publish_device (struct toy_vm *vm, const char *event, const char *device, struct hv_err *err)
{
  struct hv_device_event e = { .vm = vm->name, .device = device };
  return hv_publish (vm->toy->host, event, &e, err);
}

static int
attach_check (const struct toy_vm *vm, const struct hv_attach_args *a, struct hv_err *err)
{
  if (HV_HAS (a, disk) == HV_HAS (a, nic))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "one device is wanted: a disk or a nic");
  int r = scope_check (vm, a->live, a->config, err);
  if (r == 0 && HV_HAS (a, disk) && access (a->disk.path, R_OK) < 0)
    return hv_err_sys (err, errno, "disk '%s': '%s'", a->disk.name, a->disk.path);
  return r;
}

int
toy_attach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_attach_args *a = args;
  struct hv_device *ret = result;
  struct toy_document d;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = attach_check (vm, a, err);
  if (r == 0)
    r = toy_vm_read (vm, &d, err);
  if (r == 0 && a->live)
    r = machine_add (self, &d.live, a, err);
  if (r == 0 && a->config)
    r = machine_add (self, &d.machine, a, err);
  if (r == 0)
    r = toy_vm_write (vm, &d, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  ret->device = HV_HAS (a, disk) ? a->disk.name : a->nic.name;
  return r == 0 && a->live ? publish_device (vm, "device_added", ret->device, err) : r;
}

int
toy_detach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_detach_args *a = args;
  struct toy_document d;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = scope_check (vm, a->live, a->config, err);
  if (r == 0)
    r = toy_vm_read (vm, &d, err);
  if (r == 0 && a->live)
    r = machine_take (&d.live, a->vm, a->device, err);
  if (r == 0 && a->config)
    r = machine_take (&d.machine, a->vm, a->device, err);
  if (r == 0)
    r = toy_vm_write (vm, &d, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  return r == 0 && a->live ? publish_device (vm, "device_removed", a->device, err) : r;
}

/* --- resize --- */

static int
resize (struct hv_machine_disk *disk, uint64_t size, struct hv_err *err)
{
  struct stat st;
  if (disk->format != HV_DISK_RAW)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "disk '%s': format: only raw images are resized here", disk->name);
  HV_CLEAN (hv_fd) int fd = open (disk->path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &st) < 0)
    return hv_err_sys (err, errno, "disk '%s': '%s'", disk->name, disk->path);
  if (size % 512 != 0 || size < (uint64_t) st.st_size)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "size_bytes: a multiple of 512, and not less than the disk has: %llu",
                       (unsigned long long) st.st_size);
  return ftruncate (fd, (off_t) size) == 0 ? 0 : hv_err_sys (err, errno, "disk '%s': '%s'", disk->name, disk->path);
}

int
toy_resize_block (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_resize_block_args *a = args;
  struct toy_vm *vm = toy_vm_find (self, a->vm, err);
  struct toy_document d;
  int nic = 0;
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = scope_check (vm, 1, 0, err);
  if (r == 0)
    r = toy_vm_read (vm, &d, err);
  int at = r == 0 ? device_index (&d.live, a->disk, &nic) : -1;
  if (r == 0 && (at < 0 || nic))
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", a->vm, a->disk);
  if (r == 0)
    r = resize (&d.live.disks.items[at], a->size_bytes, err);
  if (r == 0)
    toy_disk_info (&d.live.disks.items[at], result);
  return r;
}

/* --- memory and processors --- */

int
toy_set_memory (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_set_memory_args *a = args;
  struct toy_document d;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = scope_check (vm, a->live, a->config, err);
  if (r == 0)
    r = toy_vm_read (vm, &d, err);
  if (r == 0 && a->live && a->memory_bytes > d.live.memory_bytes)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "memory_bytes: the running machine has %llu",
                       (unsigned long long) d.live.memory_bytes);
  if (a->live)
    HV_SET (&d, balloon_bytes, a->memory_bytes);
  if (a->config)
    HV_SET (&d.machine, memory_bytes, a->memory_bytes);
  if (r == 0)
    r = toy_vm_write (vm, &d, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  struct hv_memory_event e = { .vm = vm->name, .size_bytes = a->memory_bytes };
  if (r == 0 && a->live)
    r = hv_publish (vm->toy->host, "balloon", &e, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}

static void
cpu_set (struct hv_machine *m, uint32_t vcpus)
{
  HV_SET (&m->cpu, sockets, vcpus);
  HV_SET (&m->cpu, cores, 1);
  HV_SET (&m->cpu, threads, 1);
  m->has.cpu = 1;
}

int
toy_set_vcpus (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_set_vcpus_args *a = args;
  struct toy_document d;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = scope_check (vm, a->live, a->config, err);
  if (r == 0)
    r = toy_vm_read (vm, &d, err);
  if (r == 0 && a->live)
    cpu_set (&d.live, a->vcpus);
  if (r == 0 && a->config)
    cpu_set (&d.machine, a->vcpus);
  if (r == 0)
    r = toy_vm_write (vm, &d, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}
