/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text on its way in and out: UTF-8 checked, cleaned and quoted; numbers as JSON writes them. Any thread; nothing is allocated. */
#ifndef HV_CORE_MSG_TEXT_H
#define HV_CORE_MSG_TEXT_H
#include <stdint.h>

/* Bytes of the valid UTF-8 sequence at s (n > 0 bytes are there), or 0. Surrogates and overlong forms are not valid. */
unsigned hv_utf8_length (const uint8_t *s, uint64_t n);
/* The offset of the first byte that is not part of valid UTF-8; n if all of it is. */
uint64_t hv_utf8_check (const uint8_t *s, uint64_t n);

/* A finite number as the shortest decimal that reads back the same, always with a point or an exponent: "0.5", "4.0",
 * "1e+300". Not finite: "null". Independent of the locale. Returns ret. */
#define HV_F64_TEXT 40u
const char *hv_f64_text (double, char ret[HV_F64_TEXT]);

/* 'text' in quotes for an error: at most 64 bytes of it, one line, valid UTF-8 whatever the bytes are. Returns ret. */
#define HV_QUOTE_TEXT 80u
const char *hv_quote_text (const void *text, uint64_t n, char ret[HV_QUOTE_TEXT]);

/* Makes a line of an error printable in place: control characters and what is not UTF-8 become '?'. */
void hv_text_clean (char *text);
#endif
