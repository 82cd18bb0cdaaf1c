/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"
#include <stdio.h>
#include <string.h>

/* Of what the kernel takes as a name, that which needs no quoting anywhere. */
static int
is_name (const char *s)
{
  size_t n = strlen (s);
  return n > 0 && n < IFNAMSIZ && s[0] != '.' && s[0] != '-'
         && strspn (s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
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
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "interface_name '%.32s': up to 15 letters, digits, '.', '_' and '-'", name);
  if (snprintf (ret->bridge, sizeof ret->bridge, "k6t-%s", base) >= (int) sizeof ret->bridge
      || snprintf (ret->port, sizeof ret->port, "%s-nic", base) >= (int) sizeof ret->port
      || snprintf (ret->tap, sizeof ret->tap, "tap%s", tap) >= (int) sizeof ret->tap)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "interface_name '%s': longer than 11 characters, with which names are made",
                       name);
  return 0;
}

/* FNV-1a; the ends count. */
static uint64_t
mix (uint64_t hash, const char *text)
{
  for (;; text++) {
    hash = (hash ^ (uint8_t) *text) * UINT64_C (1099511628211);
    if (*text == '\0')
      return hash;
  }
}

uint64_t
nb_names_hash (const char *seed, const char *vm, const char *nic)
{
  uint64_t h = mix (mix (mix (UINT64_C (14695981039346656037), seed), vm), nic);
  return h ^ h >> 29; /* its low bits depend on all */
}

void
nb_names_link (char ret[IFNAMSIZ], const char *prefix, uint64_t hash)
{
  (void) snprintf (ret, IFNAMSIZ, "%.5s%010llx", prefix, (unsigned long long) (hash & UINT64_C (0xffffffffff)));
}

void
nb_names_mac (uint8_t ret[6], uint64_t hash)
{
  for (unsigned i = 0; i < 6; i++)
    ret[i] = (uint8_t) (hash >> (8 * i));
  ret[0] = 0x02;
}
