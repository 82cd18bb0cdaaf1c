/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs that only say why they cannot be called. */
#include "libvirt.h"
#include <string.h>

static const struct {
  const char *verb, *why;
} lacking[] = {
#define LV_LACKS(verb_, why_) { #verb_, why_ },
#include "lacks.h"
#undef LV_LACKS
};

const char *
lv_lacks (const char *verb)
{
  for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++)
    if (strcmp (lacking[i].verb, verb) == 0)
      return lacking[i].why;
  return NULL;
}

#define LV_LACKS(verb_, why_) \
  int lv_lacking_##verb_ (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err) \
  { \
    (void) self; \
    (void) call; \
    (void) args; \
    (void) result; \
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "%s", why_); \
  }
#include "lacks.h"
#undef LV_LACKS
