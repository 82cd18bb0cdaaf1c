/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uuid.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static uint32_t
rotate (uint32_t v, unsigned n)
{
  return v << n | v >> (32 - n);
}

static void
sha1_round (uint32_t h[5], const uint32_t w[80], unsigned i)
{
  static const uint32_t k[] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
  uint32_t f = i < 20   ? (h[1] & h[2]) | (~h[1] & h[3])
               : i < 40 ? h[1] ^ h[2] ^ h[3]
               : i < 60 ? (h[1] & h[2]) | (h[1] & h[3]) | (h[2] & h[3])
                        : h[1] ^ h[2] ^ h[3];
  uint32_t t = rotate (h[0], 5) + f + h[4] + k[i / 20] + w[i];
  h[4] = h[3];
  h[3] = h[2];
  h[2] = rotate (h[1], 30);
  h[1] = h[0];
  h[0] = t;
}

static void
sha1_block (uint32_t sum[5], const uint8_t *p)
{
  uint32_t w[80], h[5];
  for (unsigned i = 0; i < 16; i++)
    w[i] = (uint32_t) p[4 * i] << 24 | (uint32_t) p[4 * i + 1] << 16 | (uint32_t) p[4 * i + 2] << 8 | p[4 * i + 3];
  for (unsigned i = 16; i < 80; i++)
    w[i] = rotate (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  memcpy (h, sum, sizeof h);
  for (unsigned i = 0; i < 80; i++)
    sha1_round (h, w, i);
  for (unsigned i = 0; i < 5; i++)
    sum[i] += h[i];
}

void
vmi_sha1 (const void *data, uint64_t n, uint8_t ret[20])
{
  uint32_t sum[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
  const uint8_t *p = data;
  uint8_t last[128] = { 0 };
  uint64_t left = n % 64, whole = n - left, padded = left < 56 ? 64 : 128;
  for (uint64_t at = 0; at < whole; at += 64)
    sha1_block (sum, p + at);
  if (left > 0)
    memcpy (last, p + whole, left);
  last[left] = 0x80;
  for (unsigned i = 0; i < 8; i++)
    last[padded - 1 - i] = (uint8_t) (n * 8 >> 8 * i);
  for (uint64_t at = 0; at < padded; at += 64)
    sha1_block (sum, last + at);
  for (unsigned i = 0; i < 20; i++)
    ret[i] = (uint8_t) (sum[i / 4] >> (24 - 8 * (i % 4)));
}

static void
print (uint8_t b[16], unsigned version, char ret[VMI_UUID_TEXT])
{
  b[6] = (uint8_t) ((b[6] & 0x0f) | version << 4);
  b[8] = (uint8_t) ((b[8] & 0x3f) | 0x80);
  (void) snprintf (ret, VMI_UUID_TEXT, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                   b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

int
vmi_uuid_random (char ret[VMI_UUID_TEXT], struct hv_err *err)
{
  uint8_t b[16];
  if (getrandom (b, sizeof b, 0) != (ssize_t) sizeof b)
    return hv_err_set (err, HV_E_UNAVAILABLE, "random numbers: %s", strerror (errno));
  print (b, 4, ret);
  return 0;
}

void
vmi_uuid_firmware (const char *vm_name, char ret[VMI_UUID_TEXT])
{
  static const uint8_t space[16]
      = { 0x6a, 0x1a, 0x24, 0xa1, 0x40, 0x61, 0x46, 0x07, 0x8b, 0xf4, 0xa3, 0x96, 0x3d, 0x0c, 0x58, 0x95 };
  uint8_t text[16 + 256], sum[20];
  size_t n = strnlen (vm_name, 256);
  memcpy (text, space, 16);
  memcpy (text + 16, vm_name, n);
  vmi_sha1 (text, 16 + n, sum);
  print (sum, 5, ret);
}
