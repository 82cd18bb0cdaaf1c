/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, memory and processors, live and in the definition. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

#define SIZE (4 << 20)

static const char *
disk_json (struct tck *t, const char *name, const char *path)
{
  return tck_text (t, "{\"name\":\"%s\",\"path\":\"%s\",\"format\":\"raw\"}", name, path);
}

static json_t *
disk_info (struct tck *t, const char *vm, const char *disk)
{
  size_t i;
  json_t *row, *found = NULL;
  json_array_foreach (json_object_get (tck_ok (t, "block_info", "{\"vm\":\"%s\"}", vm), "items"), i, row) found
      = strcmp (tck_str (row, "disk"), disk) == 0 ? row : found;
  return found;
}

static const char *
attached (struct tck *t, const char *vm)
{
  const char *path = tck_raw (t, "d9.img", SIZE);
  const json_t *device = tck_ok (t, "attach", "{\"vm\":\"%s\",\"disk\":%s}", vm, disk_json (t, "d9", path));
  TCK_CHECK (t, strcmp (tck_str (device, "device"), "d9") == 0, "attach answers %s", tck_dump (t, device));
  return path;
}

static void
check_attach (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  uint64_t from = tck_mark (t);
  const char *path = attached (t, vm);
  const json_t *event = tck_wait_event (t, from, "device_added", vm, t->options->slack_ms);
  TCK_CHECK (t, event != NULL, "device_added is not announced");
  TCK_CHECK (t, strcmp (tck_str (event, "device"), "d9") == 0, "device_added says %s", tck_dump (t, event));
  TCK_CHECK (t, json_array_size (tck_events (t, from, "device_added", vm)) == 1, "device_added comes more than once");
  const json_t *info = tck_supported (t, "block_info") ? disk_info (t, vm, "d9") : NULL;
  if (tck_supported (t, "block_info")) {
    TCK_CHECK (t, info != NULL, "block_info does not know the disk");
    TCK_CHECK (t, strcmp (tck_str (info, "path"), path) == 0 && tck_int (info, "virtual_size_bytes") == SIZE, "block_info says %s",
               tck_dump (t, info));
  }
  (void) tck_refused (t, HV_E_ALREADY_EXISTS, "attach", "{\"vm\":\"%s\",\"disk\":%s}", vm, disk_json (t, "d9", path));
}

static void
check_attach_live_only (struct tck *t)
{
  const char *vm = tck_running (t, "a"), *path = attached (t, vm);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, strstr (tck_dump (t, tck_ok (t, "native", "{\"vm\":\"%s\"}", vm)), path) == NULL, "it is in the definition, too");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  if (tck_supported (t, "block_info"))
    TCK_CHECK (t, disk_info (t, vm, "d9") == NULL, "it is there again after the next start");
}

static void
check_attach_config (struct tck *t)
{
  const char *vm = tck_define (t, "a"), *path = tck_raw (t, "d9.img", SIZE);
  (void) tck_ok (t, "attach", "{\"vm\":\"%s\",\"live\":false,\"config\":true,\"disk\":%s}", vm, disk_json (t, "d9", path));
  TCK_CHECK (t, strstr (tck_dump (t, tck_ok (t, "native", "{\"vm\":\"%s\"}", vm)), path) != NULL,
             "the definition does not have it");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  if (tck_supported (t, "block_info"))
    TCK_CHECK (t, disk_info (t, vm, "d9") != NULL, "the machine was started without it");
}

static void
check_attach_refused (struct tck *t)
{
  const char *vm = tck_running (t, "a"), *path = tck_raw (t, "d9.img", SIZE), *missing = tck_path (t, "missing.img");
  uint64_t from = tck_mark (t);
  (void) tck_refused (t, HV_E_INVALID_ARGUMENT, "attach", "{\"vm\":\"%s\"}", vm);
  (void) tck_refused (t, HV_E_INVALID_ARGUMENT, "attach", "{\"vm\":\"%s\",\"live\":false,\"config\":false,\"disk\":%s}", vm,
                      disk_json (t, "d9", path));
  struct tck_answer a = tck_call (t, "attach", "{\"vm\":\"%s\",\"disk\":%s}", vm, disk_json (t, "d9", missing));
  TCK_CHECK (t, a.code < 0, "a disk whose image does not exist was plugged in");
  TCK_CHECK (t, a.code == HV_E_NOT_FOUND || a.code == HV_E_FAILED_PRECONDITION, "a disk whose image does not exist: %s: %s",
             hv_err_name (a.code), a.text);
  TCK_CHECK (t, json_array_size (tck_events (t, from, "device_added", vm)) == 0, "a device that was refused is announced");
  (void) tck_ok (t, "attach", "{\"vm\":\"%s\",\"disk\":%s}", vm, disk_json (t, "d9", path)); /* the name is free */
}

/* A guest without an operating system may never let go: then detach fails in time, and the device is still there. */
static void
check_detach (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  (void) attached (t, vm);
  uint64_t from = tck_mark (t);
  struct tck_answer a = tck_call (t, "detach", "{\"vm\":\"%s\",\"device\":\"d9\",\"grace_ms\":2000}", vm);
  TCK_CHECK (t, a.ms <= 2000 + t->options->slack_ms, "with a grace of 2000 ms it takes %llu ms", (unsigned long long) a.ms);
  if (a.code == 0) {
    const json_t *event = tck_wait_event (t, from, "device_removed", vm, t->options->slack_ms);
    TCK_CHECK (t, event != NULL && strcmp (tck_str (event, "device"), "d9") == 0, "device_removed is not announced: %s",
               tck_dump (t, tck_events (t, from, NULL, vm)));
  }
  if (tck_supported (t, "block_info"))
    TCK_CHECK (t, (disk_info (t, vm, "d9") == NULL) == (a.code == 0), "detach answers %s, block_info says %s", hv_err_name (a.code),
               tck_dump (t, disk_info (t, vm, "d9")));
  if (a.code == 0)
    (void) tck_refused (t, HV_E_NOT_FOUND, "detach", "{\"vm\":\"%s\",\"device\":\"d9\"}", vm);
}

static void
check_detach_config (struct tck *t)
{
  const char *vm = tck_define (t, "a"), *path = tck_raw (t, "d9.img", SIZE);
  (void) tck_ok (t, "attach", "{\"vm\":\"%s\",\"live\":false,\"config\":true,\"disk\":%s}", vm, disk_json (t, "d9", path));
  (void) tck_ok (t, "detach", "{\"vm\":\"%s\",\"live\":false,\"config\":true,\"device\":\"d9\"}", vm);
  TCK_CHECK (t, strstr (tck_dump (t, tck_ok (t, "native", "{\"vm\":\"%s\"}", vm)), path) == NULL, "the definition still has it");
  (void) tck_refused (t, HV_E_NOT_FOUND, "detach", "{\"vm\":\"%s\",\"live\":false,\"config\":true,\"device\":\"d9\"}", vm);
}

static void
check_restart (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  (void) attached (t, vm);
  hv_fake_restart (t->host);
  if (!tck_wait_state (t, vm, "running", t->options->settle_ms))
    tck_fail (t, "after a restart of the daemon it is %s", tck_state (t, vm));
  TCK_CHECK (t, disk_info (t, vm, "d9") != NULL, "after a restart of the daemon the disk is not known any more");
}

static void
check_resize (struct tck *t)
{
  const char *vm = tck_running (t, "a"), *path = attached (t, vm);
  const json_t *info = tck_ok (t, "resize_block", "{\"vm\":\"%s\",\"disk\":\"d9\",\"size_bytes\":%d}", vm, 2 * SIZE);
  TCK_CHECK (t, tck_int (info, "virtual_size_bytes") == 2 * SIZE, "it answers %s", tck_dump (t, info));
  TCK_CHECK (t, tck_file_size (path) == 2 * SIZE, "the image has %lld bytes", (long long) tck_file_size (path));
  if (tck_supported (t, "block_info"))
    TCK_CHECK (t, tck_int (disk_info (t, vm, "d9"), "virtual_size_bytes") == 2 * SIZE, "block_info says %s",
               tck_dump (t, disk_info (t, vm, "d9")));
  (void) tck_refused (t, HV_E_INVALID_ARGUMENT, "resize_block", "{\"vm\":\"%s\",\"disk\":\"d9\",\"size_bytes\":%d}", vm, SIZE + 1);
  (void) tck_refused (t, HV_E_NOT_FOUND, "resize_block", "{\"vm\":\"%s\",\"disk\":\"none\",\"size_bytes\":%d}", vm, SIZE);
}

/* --- memory and processors --- */

static void
check_memory_config (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  int64_t size = tck_int (tck_get (t, vm), "memory_bytes") * 2;
  const json_t *answer
      = tck_ok (t, "set_memory", "{\"vm\":\"%s\",\"live\":false,\"config\":true,\"memory_bytes\":%lld}", vm, (long long) size);
  TCK_CHECK (t, tck_int (answer, "memory_bytes") == size && tck_int (tck_get (t, vm), "memory_bytes") == size,
             "the definition says %lld, not %lld", (long long) tck_int (tck_get (t, vm), "memory_bytes"), (long long) size);
  (void) tck_refused (t, HV_E_FAILED_PRECONDITION, "set_memory", "{\"vm\":\"%s\",\"memory_bytes\":%lld}", vm, (long long) size);
}

struct balloon {
  struct tck *t;
  const char *vm;
  int64_t size;
};

static int
has_size (void *arg)
{
  struct balloon *b = arg;
  return tck_int (tck_ok (b->t, "memory_stats", "{\"vm\":\"%s\"}", b->vm), "balloon_bytes") == b->size;
}

static void
check_memory_live (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  struct balloon b = { t, vm, tck_int (tck_get (t, vm), "memory_bytes") / 2 };
  uint64_t from = tck_mark (t);
  (void) tck_ok (t, "set_memory", "{\"vm\":\"%s\",\"memory_bytes\":%lld}", vm, (long long) b.size);
  if (!hv_fake_run_until (t->host, has_size, &b, 2000))
    tck_na (t, "the guest has no driver for the balloon");
  const json_t *event = tck_wait_event (t, from, "balloon", vm, t->options->slack_ms);
  TCK_CHECK (t, event != NULL, "the balloon changed, and it was not announced");
  TCK_CHECK (t, tck_int (event, "size_bytes") > 0, "the event says %s", tck_dump (t, event));
}

static void
check_vcpus_config (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  (void) tck_ok (t, "set_vcpus", "{\"vm\":\"%s\",\"live\":false,\"config\":true,\"vcpus\":3}", vm);
  TCK_CHECK (t, tck_int (tck_get (t, vm), "vcpus") == 3, "the definition says %lld",
             (long long) tck_int (tck_get (t, vm), "vcpus"));
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, tck_int (tck_get (t, vm), "vcpus") == 3, "the machine has %lld", (long long) tck_int (tck_get (t, vm), "vcpus"));
}

/* There may be no room for another processor; then it is refused, and nothing has changed. */
static void
check_vcpus_live (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  int64_t before = tck_int (tck_get (t, vm), "vcpus");
  struct tck_answer a = tck_call (t, "set_vcpus", "{\"vm\":\"%s\",\"vcpus\":%lld}", vm, (long long) before + 1);
  int64_t after = tck_int (tck_get (t, vm), "vcpus");
  TCK_CHECK (t, a.code != 0 || after == before + 1, "it succeeds, and the machine has %lld processors", (long long) after);
  TCK_CHECK (t, a.code == 0 || after == before, "it answers %s, and the machine has %lld processors", hv_err_name (a.code),
             (long long) after);
  TCK_CHECK (t,
             a.code == 0 || a.code == HV_E_FAILED_PRECONDITION || a.code == HV_E_INVALID_ARGUMENT || a.code == HV_E_UNIMPLEMENTED,
             "it answers %s: %s", hv_err_name (a.code), a.text);
}

const struct tck_check tck_device_checks[] = {
  { "devices.attach", "attach plugs a disk in: device_added once, block_info knows it, its name is taken", "attach", check_attach },
  { "devices.live-only", "attach {live} changes the running machine only: it is gone after the next start", "attach",
    check_attach_live_only },
  { "devices.config", "attach {config} changes the definition: native has it, the next start uses it", "attach",
    check_attach_config },
  { "devices.refused", "attach of no device, to nowhere, or without an image is refused and leaves nothing behind", "attach",
    check_attach_refused },
  { "devices.detach",
    "detach answers when the guest has let go, with device_removed; or fails in time, and the device is still there",
    "attach detach", check_detach },
  { "devices.detach-config", "detach {config} takes a device out of the definition; an unknown one is NOT_FOUND", "attach detach",
    check_detach_config },
  { "devices.restart", "a disk that was plugged in is known after a restart of the daemon", "attach block_info", check_restart },
  { "devices.resize", "resize_block grows a disk: the answer, block_info and the image say so", "attach resize_block",
    check_resize },
  { "memory.config", "set_memory {config} changes the definition; {live} without a process is refused", "set_memory",
    check_memory_config },
  { "memory.live", "set_memory {live} moves the balloon, and the balloon event says so", "set_memory memory_stats",
    check_memory_live },
  { "vcpus.config", "set_vcpus {config} changes the definition, and the next start uses it", "set_vcpus", check_vcpus_config },
  { "vcpus.live", "set_vcpus {live} changes the running machine, or is refused and changes nothing", "set_vcpus",
    check_vcpus_live },
  { NULL, NULL, NULL, NULL },
};
