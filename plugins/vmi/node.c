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

HV_RECORD_TABLE (vmi_backend_view, VMI_BACKEND_VIEW, "what drives machines");
HV_RECORD_TABLE (vmi_plugin_view, VMI_PLUGIN_VIEW, "a plugin instance");

/* What is read of bus.plugins' answer. */
#define VMI_PLUGIN_LIST(F, T) F (T, RECS, vmi_plugin_view, items, HV_REQUIRED, "plugin instances")
HV_RECORD_STRUCT (vmi_plugin_list, VMI_PLUGIN_LIST);
HV_RECORD_TABLE (vmi_plugin_list, VMI_PLUGIN_LIST, "plugin instances");

static int
usable_models (struct hv_host *h, const struct hv_probe *p, struct hv_strs *ret)
{
  const char **items = hv_alloc (h, (p->cpu_models.count + 1) * sizeof *items);
  ret->items = items;
  for (uint32_t i = 0; items != NULL && i < p->cpu_models.count; i++)
    if (p->cpu_models.items[i].usable)
      items[ret->count++] = p->cpu_models.items[i].name;
  return items != NULL;
}

/* A backend that cannot be probed is listed with the reason; the node is there all the same. */
static int
probe (struct vmi *vmi, const char *backend, struct vmi_backend_view *ret, const char **ret_text)
{
  struct hv_host *h = vmi->host;
  struct vmi_probe_args a = { 0 };
  struct hv_probe p;
  struct hv_strs models = { NULL, 0 };
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  char *method = hv_printf (h, "%s.probe", backend);
  if (method == NULL)
    return 0;
  HV_SET (ret, name, backend);
  if (hv_call_method (h, method, vmi_probe_args, &a, hv_probe, &p, err) < 0) {
    HV_SET (ret, reason, hv_strdup (h, hv_err_message (err)));
    *ret_text = hv_printf (h, "%s (%s)", backend, hv_err_message (err));
    return ret->reason != NULL && *ret_text != NULL;
  }
  HV_SET (ret, accel, p.accel);
  if (HV_HAS (&p, version))
    HV_SET (ret, version, p.version);
  if (HV_HAS (&p, machines))
    HV_SET (ret, machines, p.machines);
  if (HV_HAS (&p, cpu_models) && usable_models (h, &p, &models))
    HV_SET (ret, cpuModels, models);
  *ret_text = hv_printf (h, "%s/%s", backend, p.accel);
  return *ret_text != NULL;
}

static int
view_backends (struct vmi *vmi, struct vmi_node_view *node, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct hv_strs names = { NULL, 0 };
  int r = vmi_backend_list (vmi, &names, err);
  const char **texts = r == 0 ? hv_alloc (h, (names.count + 1) * sizeof *texts) : NULL;
  struct vmi_backend_view *views = r == 0 ? hv_alloc (h, (names.count + 1) * sizeof *views) : NULL;
  if (r < 0 || texts == NULL || views == NULL)
    return r < 0 ? r : vmi_no_memory (err);
  for (uint32_t i = 0; i < names.count; i++)
    if (!probe (vmi, names.items[i], &views[i], &texts[i]))
      return vmi_no_memory (err);
  HV_SET (node, status, names.count > 0 ? "Ready" : "NotReady");
  HV_SET (node, backends, ((struct hv_strs){ texts, names.count }));
  node->hypervisors.items = views;
  node->hypervisors.count = names.count;
  return 0;
}

/* NOT_FOUND: an older core. */
static int
view_plugins (struct vmi *vmi, struct vmi_node_view *node, struct hv_err *err)
{
  struct vmi_probe_args a = { 0 };
  struct vmi_plugin_list list = { 0 };
  int r = hv_call_method (vmi->host, "bus.plugins", vmi_probe_args, &a, vmi_plugin_list, &list, err);
  node->plugins.items = list.items.items;
  node->plugins.count = r == 0 ? list.items.count : 0;
  return r == HV_E_NOT_FOUND ? 0 : r;
}

int
vmi_get_node (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct vmi_node_list *ret = result;
  struct vmi_node_view *node = hv_alloc (vmi->host, sizeof *node);
  struct utsname *u = hv_alloc (vmi->host, sizeof *u);
  uint32_t vms = 0;
  (void) call;
  (void) args;
  if (node == NULL || u == NULL || uname (u) < 0)
    return vmi_no_memory (err);
  int r = view_backends (vmi, node, err);
  if (r == 0)
    r = view_plugins (vmi, node, err);
  if (r < 0)
    return r;
  HV_SET (node, name, vmi->node.name);
  HV_SET (node, arch, vmi->node.arch);
  HV_SET (node, cpus, (uint32_t) sysconf (_SC_NPROCESSORS_ONLN));
  HV_SET (node, memory_bytes, vmi_node_memory ());
  HV_SET (node, promised_bytes, vmi_memory_promised (vmi, NULL, &vms));
  HV_SET (node, reserved_bytes, vmi->config->memory_reserve_bytes);
  HV_SET (node, vms, vms);
  HV_SET (node, kernel, u->release);
  ret->items.items = node;
  ret->items.count = 1;
  return 0;
}
