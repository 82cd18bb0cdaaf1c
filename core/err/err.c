/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* struct hv_err: a code, a text and a few key/value details. Depends on nothing else of the core, because the client library
 * is built from this file, too. Out of memory it keeps the code and says so with a static text. */
#include "core/err/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_MAX 16u   /* details of one error; more are dropped */
#define TEXT_MAX 8192u /* bytes; texts quote what peers sent, and those may be long */

struct pair {
  char *key, *value;
};

struct hv_err {
  struct hv_err_head head;
  int32_t code;
  uint32_t data_count;
  char *text; /* NULL while unset; malloc'd or `no_memory` */
  struct pair data[DATA_MAX];
};

static char no_memory[] = "out of memory while an error was being described";

static void
text_replace (struct hv_err *e, char *text)
{
  if (e->text != no_memory)
    free (e->text);
  e->text = text;
}

/* Cuts between characters, never within one. */
static void
text_cut (char *text)
{
  size_t n = TEXT_MAX;
  while (n > 0 && ((unsigned char) text[n] & 0xC0) == 0x80)
    n--;
  memcpy (text + n, "…", sizeof "…");
}

HV_PRINTF (1, 0)
static char *
text_format (const char *fmt, va_list ap)
{
  char *text = NULL;
  int n = vasprintf (&text, fmt, ap);
  if (n < 0)
    return no_memory;
  if ((size_t) n > TEXT_MAX + sizeof "…")
    text_cut (text);
  return text;
}

static void
data_clear (struct hv_err *e)
{
  for (uint32_t i = 0; i < e->data_count; i++) {
    free (e->data[i].key);
    free (e->data[i].value);
  }
  e->data_count = 0;
}

/* The new text is made before the old one goes: the old one may be among the arguments. */
HV_PRINTF (3, 0)
static void
err_setv (struct hv_err *e, int32_t code, const char *fmt, va_list ap)
{
  text_replace (e, text_format (fmt, ap));
  e->code = code;
  data_clear (e);
}

HV_PRINTF (2, 0)
static void
err_wrapv (struct hv_err *e, const char *fmt, va_list ap)
{
  char *prefix = text_format (fmt, ap), *text = NULL;
  if (e->text == NULL) {
    text_replace (e, prefix);
    return;
  }
  if (prefix == no_memory)
    return; /* what is there says more */
  int n = asprintf (&text, "%s: %s", prefix, e->text);
  free (prefix);
  if (n < 0)
    return;
  if ((size_t) n > TEXT_MAX + sizeof "…")
    text_cut (text);
  text_replace (e, text);
}

static struct pair *
data_find (const struct hv_err *e, const char *key)
{
  for (uint32_t i = 0; i < e->data_count; i++)
    if (strcmp (e->data[i].key, key) == 0)
      return (struct pair *) (uintptr_t) &e->data[i];
  return NULL;
}

static void
err_data (struct hv_err *e, const char *key, const char *value)
{
  struct pair *old = data_find (e, key);
  char *v = strdup (value != NULL ? value : ""), *k = old != NULL ? NULL : strdup (key);
  if (v != NULL && old != NULL) {
    free (old->value);
    old->value = v;
    return;
  }
  if (v == NULL || k == NULL || e->data_count == DATA_MAX) {
    free (k);
    free (v);
    return;
  }
  e->data[e->data_count++] = (struct pair){ k, v };
}

static int32_t
err_code (const struct hv_err *e)
{
  return e->code;
}

static const char *
err_message (const struct hv_err *e)
{
  return e->text != NULL ? e->text : "";
}

static const char *
err_data_get (const struct hv_err *e, const char *key)
{
  const struct pair *p = data_find (e, key);
  return p != NULL ? p->value : NULL;
}

static void
err_unset (struct hv_err *e)
{
  text_replace (e, NULL);
  e->code = 0;
  data_clear (e);
}

static void
err_move (struct hv_err *to, struct hv_err *from)
{
  if (to == from)
    return;
  err_unset (to);
  to->code = from->code;
  to->text = HV_STEAL (from->text);
  to->data_count = from->data_count;
  memcpy (to->data, from->data, sizeof to->data);
  from->data_count = 0;
  from->code = 0;
}

static void
err_free (struct hv_err *e)
{
  if (e == NULL)
    return;
  err_unset (e);
  free (e);
}

static const struct hv_err_api err_api = {
  .struct_size = sizeof (struct hv_err_api),
  .setv = err_setv,
  .wrapv = err_wrapv,
  .data = err_data,
  .code = err_code,
  .message = err_message,
  .data_get = err_data_get,
  .move = err_move,
  .free = err_free,
};

struct hv_err *
hv_error_new (void)
{
  struct hv_err *e = calloc (1, sizeof *e);
  if (e != NULL)
    e->head.api = &err_api;
  return e;
}

uint32_t
hv_error_data_count (const struct hv_err *e)
{
  return e == NULL ? 0 : e->data_count;
}

void
hv_error_data_at (const struct hv_err *e, uint32_t i, const char **ret_key, const char **ret_value)
{
  *ret_key = e->data[i].key;
  *ret_value = e->data[i].value;
}

struct hv_err *
hv_error_dup (const struct hv_err *e)
{
  if (e == NULL)
    return NULL;
  struct hv_err *copy = hv_error_new ();
  if (copy == NULL)
    return NULL;
  copy->code = e->code;
  if (e->text != NULL)
    copy->text = e->text == no_memory ? no_memory : strdup (e->text);
  if (e->text != NULL && copy->text == NULL)
    copy->text = no_memory;
  for (uint32_t i = 0; i < e->data_count; i++)
    err_data (copy, e->data[i].key, e->data[i].value);
  return copy;
}
