/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is this a plugin we can trust the shape of? Run once at load; everything later relies on it. */
#include "core/plugin/plugin.h"
#include <string.h>

#define METHODS_MAX 512u

static int
check_header (const struct hv_plugin *p, struct hv_err *err)
{
  if (p->struct_size < offsetof (struct hv_plugin, stop))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "its table has %u bytes, at least %zu are wanted: rebuild it against this SDK", p->struct_size,
                       offsetof (struct hv_plugin, stop));
  if (p->abi_major != HV_ABI_MAJOR || p->abi_minor > HV_ABI_MINOR)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it wants plugin ABI %u.%u, this core has %u.%u: upgrade hvkitd, or rebuild the plugin against an older SDK",
                       p->abi_major, p->abi_minor, HV_ABI_MAJOR, HV_ABI_MINOR);
  if (p->name == NULL || p->version == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "its table has no name or no version");
  return 0;
}

/* A member of a method's table that may be older than ours: read only when it is there. */
#define MEMBER(m, member) ((m)->struct_size >= offsetof (struct hv_method, member) + sizeof (m)->member ? (m)->member : 0)
#define EITHER(m, b, member) (MEMBER (m, member) ? MEMBER (m, member) : (b) != NULL ? MEMBER (b, member) : 0)

static int
check_record (const struct hv_record *rec, const char *what, const char *verb, struct hv_err *err)
{
  int r = rec != NULL ? hv_record_validate (rec, err) : 0;
  return r < 0 ? hv_err_wrap (err, r, "%s of '%s'", what, verb) : 0;
}

static int
check_key (const struct hv_record *args, const char *key, const char *verb, struct hv_err *err)
{
  if (key == NULL)
    return 0;
  for (const struct hv_field *const *f = args != NULL ? args->fields : NULL; f != NULL && *f != NULL; f++)
    if (strcmp ((*f)->name, key) == 0 && (*f)->type == HV_T_STR)
      return 0;
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "key '%s' of method '%s' is not a text field of its arguments", key, verb);
}

static int
check_method (const struct hv_method *m, struct hv_err *err)
{
  const struct hv_method *b = MEMBER (m, base);
  const char *verb = EITHER (m, b, verb);
  uint32_t access = EITHER (m, b, access), lane = EITHER (m, b, lane), flags = m->flags | (b != NULL ? b->flags : 0);
  if (verb == NULL || !hv_pattern_match ("name", verb)) {
    for (const char *c = verb; c != NULL && *c != '\0'; c++)
      if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
        return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' is not a verb: small letters, digits and _", verb);
    if (verb == NULL || *verb == '\0')
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "a method has no verb");
  }
  if (EITHER (m, b, handler) == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "method '%s' has no handler", verb);
  if (access < HV_VIEWER || access > HV_ADMIN)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "method '%s' does not say who may call it", verb);
  if ((flags & HV_FAST) && lane != HV_LANE_NONE)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "method '%s' is fast and has a lane; it can be one of them", verb);
  const struct hv_record *args = EITHER (m, b, args), *result = EITHER (m, b, result);
  int r = check_record (args, "arguments", verb, err);
  if (r == 0)
    r = check_record (result, "result", verb, err);
  return r < 0 ? r : check_key (args, EITHER (m, b, key), verb, err);
}

static const char *
method_verb (const struct hv_method *m)
{
  const struct hv_method *b = MEMBER (m, base);
  return EITHER (m, b, verb);
}

static int
check_methods (const struct hv_plugin *p, struct hv_err *err)
{
  uint32_t n = 0;
  for (const struct hv_method *const *m = p->methods; m != NULL && *m != NULL; m++, n++) {
    int r = n >= METHODS_MAX ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "it has more than %u methods", METHODS_MAX) : check_method (*m, err);
    if (r < 0)
      return r;
    for (const struct hv_method *const *o = p->methods; o != m; o++)
      if (strcmp (method_verb (*o), method_verb (*m)) == 0)
        return hv_err_set (err, HV_E_FAILED_PRECONDITION, "method '%s' stands twice in its table", method_verb (*m));
  }
  return 0;
}

static int
has_verb (const struct hv_plugin *p, const char *verb)
{
  for (const struct hv_method *const *m = p->methods; m != NULL && *m != NULL; m++)
    if (strcmp (method_verb (*m), verb) == 0)
      return 1;
  return 0;
}

static int
check_provides (const struct hv_plugin *p, struct hv_err *err)
{
  for (const struct hv_iface *const *f = p->provides; f != NULL && *f != NULL; f++)
    for (const struct hv_method *const *v = (*f)->verbs; v != NULL && *v != NULL; v++)
      if (((*v)->flags & HV_MUST) && !has_verb (p, (*v)->verb))
        return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it says it provides %s/%u but lacks the required verb '%s'", (*f)->name, (*f)->major, (*v)->verb);
  return 0;
}

static int
check_events (const struct hv_plugin *p, struct hv_err *err)
{
  for (const struct hv_event *const *e = p->events; e != NULL && *e != NULL; e++) {
    int r = (*e)->name == NULL ? hv_err_set (err, HV_E_FAILED_PRECONDITION, "an event has no name") : check_record ((*e)->data, "event", (*e)->name, err);
    if (r < 0)
      return r;
  }
  return 0;
}

int
hv_plugin_check (const struct hv_plugin *p, struct hv_err *err)
{
  int r = check_header (p, err);
  if (r == 0)
    r = check_methods (p, err);
  if (r == 0)
    r = check_provides (p, err);
  if (r == 0)
    r = check_events (p, err);
  if (r == 0)
    r = check_record (p->config, "config", p->name, err);
  return r;
}
