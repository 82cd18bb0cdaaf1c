/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text, bytes and time that outlive a call. */
#include "vmi.h"
#include <string.h>
#include <time.h>

int
vmi_no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
vmi_text_set (char **at, const char *value)
{
  char *copy = value != NULL ? strdup (value) : NULL;
  if (value != NULL && copy == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  free (*at);
  *at = copy;
  return 0;
}

int
vmi_bytes_set (struct vmi_bytes *b, struct hv_bin value)
{
  uint8_t *copy = malloc (value.size + 1);
  if (copy == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (value.size > 0)
    memcpy (copy, value.data, value.size);
  free (b->data);
  *b = (struct vmi_bytes){ copy, value.size };
  return 0;
}

void
vmi_bytes_clear (struct vmi_bytes *b)
{
  free (b->data);
  *b = (struct vmi_bytes){ NULL, 0 };
}

struct hv_bin
vmi_bytes_bin (const struct vmi_bytes *b)
{
  return (struct hv_bin){ b->data, b->size };
}

uint64_t
vmi_wall_ms (void)
{
  struct timespec t;
  clock_gettime (CLOCK_REALTIME, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

char *
vmi_time_text (struct hv_host *h, uint64_t ms)
{
  time_t s = (time_t) (ms / 1000);
  struct tm tm;
  char text[32];
  if (gmtime_r (&s, &tm) == NULL || strftime (text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    return hv_strdup (h, "");
  return hv_strdup (h, text);
}
