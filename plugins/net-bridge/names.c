/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"
#include <stdio.h>
#include <string.h>

/* What the kernel takes as a name. */
static int
is_name (const char *s)
{
  size_t n = strlen (s);
  if (n == 0 || n >= IFNAMSIZ || strcmp (s, ".") == 0 || strcmp (s, "..") == 0)
    return 0;
  for (size_t i = 0; i < n; i++)
    if (s[i] <= ' ' || s[i] > '~' || s[i] == '/' || s[i] == ':' || s[i] == '%')
      return 0;
  return 1;
}

static int
is_number (const char *s)
{
  return s[0] != '\0' && strlen (s) <= 5 && strspn (s, "0123456789") == strlen (s);
}

int
nb_names_make (const char *name, uint32_t ordinal, struct nb_names *ret, struct hv_err *err)
{
  int is_hash = strncmp (name, "pod", 3) == 0 && strlen (name) > 3;
  const char *base = is_hash ? name + 3 : name;
  char number[16];
  (void) snprintf (number, sizeof number, "%u", ordinal);
  const char *tap = is_hash                                                 ? base
                    : strcmp (name, "eth0") == 0                            ? "0"
                    : strncmp (name, "net", 3) == 0 && is_number (name + 3) ? name + 3
                                                                            : number;
  if (!is_name (name))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "interface_name '%.32s': no name of a network interface", name);
  if (snprintf (ret->bridge, sizeof ret->bridge, "k6t-%s", base) >= (int) sizeof ret->bridge
      || snprintf (ret->port, sizeof ret->port, "%s-nic", base) >= (int) sizeof ret->port
      || snprintf (ret->tap, sizeof ret->tap, "tap%s", tap) >= (int) sizeof ret->tap)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "interface_name '%s': longer than 11 characters, with which names are made",
                       name);
  return 0;
}
