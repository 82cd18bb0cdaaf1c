/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a manifest: read, decoded, checked, defaulted and turned into a machine, or refused; nothing else. */
#include "../spec.h"
#include "../vmi.h"
#include "../yaml.h"
#include "host.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
try_object (struct vmi_object *o)
{
  const struct vmi_node node = { "node", "amd64" };
  struct hv_host *h = test_host ();
  struct vmi_spec *s = &o->vm.spec.template.spec;
  struct vmi_volume_plan *plans;
  struct hv_machine m;
  struct hv_bin b;
  const struct vmi_boot_files boot = { HV_HAS (&s->domain.firmware, kernelBoot) ? "/boot/kernel" : NULL, NULL };
  struct vmi_reference *refs;
  uint32_t n;
  if (!vmi_object_is_machine (o) || vmi_spec_check (s, "spec", &o->vm.metadata.annotations, &node, NULL) < 0)
    return;
  if (vmi_spec_defaults (h, s, &node, o->name, NULL) < 0
      || vmi_spec_volumes (h, "/state", o->namespace_, o->name, s, &o->vm.metadata.annotations, &plans, NULL) < 0
      || vmi_spec_references (h, s, &refs, &n, NULL) < 0)
    abort ();
  for (uint32_t i = 0; i < s->volumes.count; i++)
    if (plans[i].source == VMI_SOURCE_CONTAINER)
      plans[i].path = "/image"; /* as a pull tells */
  if (vmi_spec_machine (h, "domain", s, plans, &boot, &m, NULL) < 0 || h->api->encode (h, &hv_machine_record, &m, &b, NULL) < 0)
    abort (); /* what was accepted has to work */
  memset (&m, 0, sizeof m);
  if (h->api->decode (h, &hv_machine_record, b, 0, &m, NULL) < 0)
    abort (); /* and to be what a backend takes */
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct hv_host *h = test_host ();
  struct vmi_manifest m;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  char *text = malloc (size + 1);
  if (text == NULL)
    return 0;
  memcpy (text, data, size);
  text[size] = '\0';
  if (memchr (text, '\0', size) == NULL && vmi_manifest_read (h, text, "default", &m, err) == 0)
    for (uint32_t i = 0; i < m.count; i++)
      try_object (&m.objects[i]);
  (void) vmi_yaml_line (text, size, 1, "spec.template.spec.volumes[1].name");
  free (text);
  test_host_reset ();
  return 0;
}
