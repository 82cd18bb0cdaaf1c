/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "statefile.h"
#include <string.h>

#define MAGIC   "HVKSAVE\n"
#define VERSION 1u

uint32_t
qmp_crc32 (uint32_t crc, const uint8_t *data, uint64_t n)
{
  crc = ~crc;
  for (uint64_t i = 0; i < n; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? UINT32_C (0xedb88320) : 0);
  }
  return ~crc;
}

static void
put (uint8_t *at, uint64_t v, uint32_t bytes)
{
  for (uint32_t i = 0; i < bytes; i++)
    at[i] = (uint8_t) (v >> 8 * (bytes - 1 - i));
}

static uint64_t
get (const uint8_t *at, uint32_t bytes)
{
  uint64_t v = 0;
  for (uint32_t i = 0; i < bytes; i++)
    v = v << 8 | at[i];
  return v;
}

static uint32_t
head_crc (const uint8_t *head, uint64_t machine_bytes)
{
  return qmp_crc32 (qmp_crc32 (0, head, 20), head + 24, QMP_STATEFILE_FIXED - 24 + machine_bytes);
}

uint32_t
qmp_statefile_head_bytes (uint64_t machine_bytes)
{
  if (machine_bytes > QMP_STATEFILE_MACHINE)
    return 0;
  return (uint32_t) ((QMP_STATEFILE_FIXED + machine_bytes + QMP_STATEFILE_PAGE - 1) / QMP_STATEFILE_PAGE * QMP_STATEFILE_PAGE);
}

void
qmp_statefile_write (const struct qmp_statefile *f, uint8_t *out)
{
  memset (out, 0, f->head_bytes);
  memcpy (out, MAGIC, 8);
  put (out + 8, VERSION, 4);
  put (out + 12, f->head_bytes, 4);
  put (out + 16, f->machine.size, 4);
  put (out + 24, f->stream_bytes, 8);
  memcpy (out + 32, f->token, QMP_STATEFILE_TOKEN);
  memcpy (out + QMP_STATEFILE_FIXED, f->machine.data, f->machine.size);
  put (out + 20, head_crc (out, f->machine.size), 4);
}

int
qmp_statefile_peek (const uint8_t *first, uint32_t *ret_head_bytes, struct hv_err *err)
{
  if (memcmp (first, MAGIC, 8) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it is not a saved machine");
  uint64_t version = get (first + 8, 4), machine_bytes = get (first + 16, 4);
  uint32_t head = qmp_statefile_head_bytes (machine_bytes);
  if (version != VERSION)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it is a saved machine of format %u; this version reads format %u",
                       (unsigned) version, VERSION);
  if (head == 0 || get (first + 12, 4) != head)
    return hv_err_set (err, HV_E_DATA_LOSS, "the head of the saved machine is damaged");
  *ret_head_bytes = head;
  return 0;
}

int
qmp_statefile_parse (const uint8_t *head, uint64_t n, struct qmp_statefile *ret, struct hv_err *err)
{
  uint32_t bytes = 0;
  if (n < QMP_STATEFILE_FIXED)
    return hv_err_set (err, HV_E_DATA_LOSS, "the saved machine is cut off");
  int r = qmp_statefile_peek (head, &bytes, err);
  if (r < 0)
    return r;
  uint64_t machine_bytes = get (head + 16, 4);
  if (n < bytes)
    return hv_err_set (err, HV_E_DATA_LOSS, "the saved machine is cut off");
  if (get (head + 20, 4) != head_crc (head, machine_bytes))
    return hv_err_set (err, HV_E_DATA_LOSS, "the head of the saved machine is damaged");
  *ret = (struct qmp_statefile){ .stream_bytes = get (head + 24, 8), .head_bytes = bytes };
  memcpy (ret->token, head + 32, QMP_STATEFILE_TOKEN);
  ret->machine = (struct hv_bin){ head + QMP_STATEFILE_FIXED, machine_bytes };
  return 0;
}
