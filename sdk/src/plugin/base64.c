/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hvkit/base64.h>
#include <stddef.h>

void
hv_base64_encode (const uint8_t *bytes, uint64_t n, char *ret)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (uint64_t i = 0; i < n; i += 3) {
    uint32_t v = (uint32_t) bytes[i] << 16 | (i + 1 < n ? (uint32_t) bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0);
    *ret++ = digits[v >> 18];
    *ret++ = digits[v >> 12 & 63];
    *ret++ = '=';
    *ret++ = '=';
    if (i + 1 < n)
      ret[-2] = digits[v >> 6 & 63];
    if (i + 2 < n)
      ret[-1] = digits[v & 63];
  }
  *ret = '\0';
}

static int
value_of (char c)
{
  return c >= 'A' && c <= 'Z'   ? c - 'A'
         : c >= 'a' && c <= 'z' ? c - 'a' + 26
         : c >= '0' && c <= '9' ? c - '0' + 52
         : c == '+'             ? 62
         : c == '/'             ? 63
                                : -1;
}

int
hv_base64_decode (const char *text, uint8_t *ret, uint64_t *ret_n)
{
  uint64_t n = 0;
  uint32_t bits = 0;
  unsigned have = 0, padding = 0;
  for (; *text != '\0'; text++) {
    if (*text == '\n' || *text == '\r')
      continue;
    int v = *text == '=' ? 0 : value_of (*text);
    padding += *text == '=';
    if (v < 0 || (*text != '=' && padding > 0) || padding > 2)
      return 0;
    bits = bits << 6 | (uint32_t) v;
    if (++have < 4)
      continue;
    for (unsigned i = 0; i < 3 - padding; i++, n++)
      if (ret != NULL)
        ret[n] = (uint8_t) (bits >> (16 - 8 * i));
    have = 0;
    bits = 0;
  }
  *ret_n = n;
  return have == 0;
}
