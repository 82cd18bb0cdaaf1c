/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* This node, as kubectl shows one. */
#include "verbs.h"
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

HV_RECORD_EMPTY_TABLE (vmi_node_args, "no arguments");
HV_RECORD_TABLE (vmi_node_view, VMI_NODE_VIEW, "a node");
HV_RECORD_TABLE (vmi_node_list, VMI_NODE_LIST, "nodes");
HV_RECORD_EMPTY_STRUCT (vmi_probe_args);
HV_RECORD_EMPTY_TABLE (vmi_probe_args, "no arguments");

/* A backend that cannot be probed is listed with the reason; the node is there all the same. */
static char *
probe (struct vmi *vmi, const char *backend, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct vmi_probe_args a = { 0 };
  struct hv_probe p;
  char *method = hv_printf (h, "%s.probe", backend);
  if (method == NULL)
    return NULL;
  if (hv_call_method (h, method, vmi_probe_args, &a, hv_probe, &p, err) < 0)
    return hv_printf (h, "%s (%s)", backend, hv_err_message (err));
  return hv_printf (h, "%s/%s", backend, p.accel);
}

int
vmi_get_node (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct hv_host *h = vmi->host;
  struct vmi_node_list *ret = result;
  struct vmi_node_view *node = hv_alloc (h, sizeof *node);
  struct hv_strs backends = { NULL, 0 };
  struct utsname *u = hv_alloc (h, sizeof *u);
  (void) call;
  (void) args;
  if (node == NULL || u == NULL || uname (u) < 0)
    return vmi_no_memory (err);
  int r = vmi_backend_list (vmi, &backends, err);
  if (r < 0)
    return r;
  const char **texts = hv_alloc (h, (backends.count + 1) * sizeof *texts);
  for (uint32_t i = 0; texts != NULL && i < backends.count; i++) {
    HV_CLEAN (hv_err) struct hv_err *why = hv_err_new (h);
    texts[i] = probe (vmi, backends.items[i], why);
    if (texts[i] == NULL)
      return vmi_no_memory (err);
  }
  if (texts == NULL)
    return vmi_no_memory (err);
  HV_SET (node, name, vmi->node.name);
  HV_SET (node, status, backends.count > 0 ? "Ready" : "NotReady");
  HV_SET (node, arch, vmi->node.arch);
  HV_SET (node, cpus, (uint32_t) sysconf (_SC_NPROCESSORS_ONLN));
  HV_SET (node, memory_bytes, vmi_node_memory ());
  HV_SET (node, backends, ((struct hv_strs){ texts, backends.count }));
  HV_SET (node, kernel, u->release);
  ret->items.items = node;
  ret->items.count = 1;
  return 0;
}
