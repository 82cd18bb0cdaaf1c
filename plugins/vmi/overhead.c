/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See overhead.h. */
#include "overhead.h"
#include "quantity.h"
#include <stdlib.h>
#include <string.h>

#define MIB UINT64_C (1048576)

/* MiB, from that version on. The newest first. */
struct constants {
  uint32_t major, minor;
  uint32_t processes, video, guaranteed;
};
static const struct constants versions[] = {
  { 1, 10, 25 + 100 + 25 + 40 + 50, 32, 100 }, /* main */
  { 1, 6, 25 + 100 + 25 + 40 + 30, 32, 100 },
  { 1, 5, 25 + 100 + 25 + 40 + 30, 16, 100 },
  { 1, 1, 25 + 100 + 20 + 35 + 30, 16, 100 },
  { 0, 59, 25 + 100 + 20 + 35 + 30, 16, 0 },
  { 0, 58, 25 + 100 + 18 + 35 + 30, 16, 0 },
  { 0, 56, 25 + 100 + 17 + 33 + 30, 16, 0 },
  { 0, 54, 25 + 75 + 17 + 33 + 30, 16, 0 },
  { 0, 53, 25 + 75 + 16 + 33 + 30, 16, 0 },
  { 0, 0, 138, 16, 0 },
};
#define VCPU_MIB      8u
#define IO_THREAD_MIB 8u
#define ARM64_MIB     128u

static int
read_version (const char *text, uint32_t *ret_major, uint32_t *ret_minor)
{
  char *end = NULL;
  if (strcmp (text, "main") == 0) {
    *ret_major = UINT32_MAX;
    return 1;
  }
  text += *text == 'v';
  if (*text < '0' || *text > '9')
    return 0;
  unsigned long major = strtoul (text, &end, 10), minor = 0;
  if (*end == '.' && end[1] >= '0' && end[1] <= '9')
    minor = strtoul (end + 1, &end, 10);
  if (*end == '.' && end[1] >= '0' && end[1] <= '9')
    (void) strtoul (end + 1, &end, 10);
  *ret_major = (uint32_t) (major < UINT16_MAX ? major : UINT16_MAX);
  *ret_minor = (uint32_t) (minor < UINT16_MAX ? minor : UINT16_MAX);
  return *end == '\0';
}

static const struct constants *
constants_of (const char *version, struct hv_err *err)
{
  uint32_t major = 0, minor = 0;
  if (!read_version (version, &major, &minor)) {
    (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "kubevirt: '%s' is not a version: 1.2.2, v1.5, main", version);
    return NULL;
  }
  const struct constants *c = versions;
  while (major < c->major || (major == c->major && minor < c->minor))
    c++;
  return c;
}

static uint64_t
vcpus (const struct vmi_cpu *c)
{
  uint64_t n = 1;
  n *= c->sockets > 0 ? c->sockets : 1;
  n *= c->cores > 0 ? c->cores : 1;
  n *= c->threads > 0 ? c->threads : 1;
  return n;
}

/* Kubernetes scales to thousands, rounding up: the odd byte in KubeVirt's figures. */
static uint64_t
pagetable (uint64_t bytes)
{
  return (bytes + 999) / 1000 * 1000 / 512;
}

int
vmi_overhead (const struct vmi_spec *s, const char *version, struct vmi_overhead *ret, struct hv_err *err)
{
  const struct vmi_resource_list *q = &s->domain.resources.requests;
  const struct vmi_devices *d = &s->domain.devices;
  const struct constants *c = constants_of (version, err);
  struct vmi_overhead o = { 0 };
  const char *path;
  if (c == NULL)
    return HV_E_INVALID_ARGUMENT;
  int r = q->has.memory ? vmi_quantity (q->memory, &o.request, err) : vmi_spec_memory (s, &o.request, &path, err);
  if (r < 0)
    return r;
  o.pagetable = pagetable (o.request);
  o.processes = c->processes * MIB;
  o.vcpus = vcpus (&s->domain.cpu) * VCPU_MIB * MIB;
  o.io_thread = IO_THREAD_MIB * MIB;
  if (!HV_HAS (d, autoattachGraphicsDevice) || d->autoattachGraphicsDevice)
    o.video = c->video * MIB;
  if (HV_HAS (s, architecture) && strcmp (s->architecture, "arm64") == 0)
    o.architecture = ARM64_MIB * MIB;
  if (strcmp (vmi_spec_qos (s), "Guaranteed") == 0)
    o.guaranteed = c->guaranteed * MIB;
  o.overhead = o.pagetable + o.processes + o.vcpus + o.io_thread + o.video + o.architecture + o.guaranteed;
  *ret = o;
  return 0;
}
