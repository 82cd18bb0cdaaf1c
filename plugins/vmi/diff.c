/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where two encoded values differ. */
#include "vmi.h"
#include <stdio.h>
#include <string.h>

#define PATHS_MAX 16u

struct diff {
  struct hv_host *host;
  char *text;
  uint32_t count;
};

static void diff_value (struct diff *, const char *path, struct hv_bin a, struct hv_bin b);

static void
found (struct diff *d, const char *path)
{
  if (d->count < PATHS_MAX)
    d->text = d->text == NULL ? hv_strdup (d->host, path) : hv_printf (d->host, "%s, %s", d->text, path);
  else if (d->count == PATHS_MAX && d->text != NULL)
    d->text = hv_printf (d->host, "%s, …", d->text);
  d->count++;
}

static uint32_t
head_of (struct hv_bin b, struct hv_read *r, struct hv_value *v)
{
  *r = (struct hv_read){ b.data, b.data + b.size };
  return hv_read_next (r, v) ? v->type : 0;
}

/* The value of a key, or nothing. */
static struct hv_bin
find (struct hv_bin map, const struct hv_value *key)
{
  struct hv_read r;
  struct hv_value v, k;
  if (head_of (map, &r, &v) == HV_MP_MAP)
    for (uint32_t i = 0; i < v.size && hv_read_next (&r, &k); i++) {
      struct hv_bin value = hv_read_skip (&r);
      if (k.type == HV_MP_STR && k.size == key->size && memcmp (k.as.data, key->as.data, k.size) == 0)
        return value;
    }
  return (struct hv_bin){ NULL, 0 };
}

static void
diff_keys (struct diff *d, const char *path, struct hv_bin a, struct hv_bin b, int only_missing)
{
  struct hv_read r;
  struct hv_value v, k;
  (void) head_of (a, &r, &v);
  for (uint32_t i = 0; i < v.size && hv_read_next (&r, &k); i++) {
    struct hv_bin value = hv_read_skip (&r), other = find (b, &k);
    if (k.type != HV_MP_STR || (only_missing && other.data != NULL))
      continue;
    char *place = hv_printf (d->host, "%s%s%.*s", path, *path != '\0' ? "." : "", (int) k.size, (const char *) k.as.data);
    if (place != NULL)
      diff_value (d, place, value, other);
  }
}

static void
diff_items (struct diff *d, const char *path, struct hv_read *ra, uint32_t na, struct hv_read *rb, uint32_t nb)
{
  for (uint32_t i = 0; i < na || i < nb; i++) {
    struct hv_bin a = i < na ? hv_read_skip (ra) : (struct hv_bin){ NULL, 0 },
                  b = i < nb ? hv_read_skip (rb) : (struct hv_bin){ NULL, 0 };
    char *place = hv_printf (d->host, "%s[%u]", path, i);
    if (place != NULL)
      diff_value (d, place, a, b);
  }
}

static void
diff_value (struct diff *d, const char *path, struct hv_bin a, struct hv_bin b)
{
  struct hv_read ra, rb;
  struct hv_value va, vb;
  if (d->count > PATHS_MAX || (a.size == b.size && (a.size == 0 || memcmp (a.data, b.data, a.size) == 0)))
    return;
  uint32_t ta = head_of (a, &ra, &va), tb = head_of (b, &rb, &vb);
  if (ta != tb || (ta != HV_MP_MAP && ta != HV_MP_ARRAY)) {
    found (d, path);
  } else if (ta == HV_MP_ARRAY) {
    diff_items (d, path, &ra, va.size, &rb, vb.size);
  } else {
    diff_keys (d, path, a, b, 0);
    diff_keys (d, path, b, a, 1);
  }
}

char *
vmi_diff (struct hv_host *h, struct hv_bin a, struct hv_bin b)
{
  struct diff d = { .host = h };
  diff_value (&d, "", a, b);
  return d.text;
}
