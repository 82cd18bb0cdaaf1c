/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tar walker, byte by byte and all at once, over archives made here; Python's and the registry's are in the e2e tests. */
#include "plugins/container-disk/tar.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those */
#include <cmocka.h>

struct archive {
  uint8_t bytes[1 << 16];
  size_t size;
};

static void
seal (uint8_t *h)
{
  unsigned sum = 0;
  memset (h + 148, ' ', 8);
  for (size_t i = 0; i < 512; i++)
    sum += h[i];
  (void) snprintf ((char *) h + 148, 8, "%06o", sum);
}

static uint8_t *
add (struct archive *a, const char *name, char type, const char *data, size_t n)
{
  uint8_t *h = a->bytes + a->size;
  (void) snprintf ((char *) h, 100, "%s", name);
  (void) snprintf ((char *) h + 124, 12, "%011zo", n);
  h[156] = (uint8_t) type;
  memcpy (h + 257, "ustar\00000", 8);
  seal (h);
  if (n > 0)
    memcpy (h + 512, data, n);
  a->size += 512 + (n + 511) / 512 * 512;
  return h;
}

struct seen {
  char text[8192];
  size_t at;
};

static int
on_entry (void *arg, const struct cd_tar_entry *e, struct hv_err *err)
{
  struct seen *s = arg;
  (void) err;
  s->at += (size_t) snprintf (s->text + s->at, sizeof s->text - s->at, "[%u %s %llu]", e->kind, e->path,
                              (unsigned long long) e->size);
  return e->kind == CD_TAR_FILE;
}

static int
on_data (void *arg, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  struct seen *s = arg;
  (void) err;
  s->at += (size_t) snprintf (s->text + s->at, sizeof s->text - s->at, "%.*s", (int) n, (const char *) bytes);
  return 0;
}

static int
walk (const struct archive *a, size_t piece, struct seen *s)
{
  static const struct cd_tar_ops ops = { on_entry, on_data };
  struct cd_tar *t = cd_tar_new (&ops, s);
  int r = 0;
  memset (s, 0, sizeof *s);
  for (size_t at = 0; r == 0 && at < a->size; at += piece)
    r = cd_tar_push (t, a->bytes + at, a->size - at < piece ? a->size - at : piece, NULL);
  if (r == 0)
    r = cd_tar_end (t, NULL);
  cd_tar_free (t);
  return r;
}

static void
expect (const struct archive *a, int code, const char *text)
{
  static const size_t pieces[] = { 1, 7, 511, 512, 513, 65536 };
  struct seen s;
  for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
    assert_int_equal (walk (a, pieces[i], &s), code);
    if (text != NULL)
      assert_string_equal (s.text, text);
  }
}

static void
test_kinds (void **state)
{
  struct archive *a = calloc (1, sizeof *a);
  (void) state;
  (void) add (a, "./disk/", '5', NULL, 0);
  (void) add (a, "./disk//a", '0', "hello", 5);
  (void) add (a, "old", '\0', "x", 1);
  (void) add (a, "dir/", '\0', NULL, 0);
  (void) add (a, "l", '2', NULL, 0);
  (void) add (a, "h", '1', NULL, 0);
  (void) add (a, "b", '4', NULL, 0);
  a->size += 1024;
  expect (a, 0, "[2 disk 0][0 disk/a 5]hello[0 old 1]x[2 dir 0][1 l 0][1 h 0][3 b 0]");
  a->size -= 1024;
  expect (a, 0, NULL); /* without its end */
  a->size -= 1;
  expect (a, HV_E_DATA_LOSS, NULL);
  free (a);
}

static void
test_long_names (void **state)
{
  struct archive *a = calloc (1, sizeof *a);
  (void) state;
  (void) add (a, "././@LongLink", 'L', "disk/from-gnu\0", 14);
  (void) add (a, "short", '0', "1", 1);
  (void) add (a, "pax", 'x', "22 path=disk/from-pax\n10 size=2\n", 32);
  (void) add (a, "short", '0', "2", 1);
  a->bytes[a->size - 511] = '3';
  (void) add (a, "global", 'g', "14 comment=ab\n", 14);
  uint8_t *h = add (a, "name", '0', "4", 1);
  memcpy (h + 345, "some/prefix", 11);
  seal (h);
  a->size += 1024;
  expect (a, 0, "[0 disk/from-gnu 1]1[0 disk/from-pax 2]23[0 some/prefix/name 1]4");
  free (a);
}

static void
test_refused (void **state)
{
  static const struct {
    const char *name, *data;
    char type;
    int code;
  } cases[] = {
    { "/etc/passwd", "x", '0', HV_E_FAILED_PRECONDITION },
    { "a/../../b", "x", '0', HV_E_FAILED_PRECONDITION },
    { "..", "x", '0', HV_E_FAILED_PRECONDITION },
    { "s", "x", 'S', HV_E_UNIMPLEMENTED },
    { "p", "9 path=a\n", 'x', HV_E_DATA_LOSS },  /* followed by nothing */
    { "p", "8 path=a\n", 'x', HV_E_DATA_LOSS },  /* the length is wrong */
    { "p", "99 path=a\n", 'x', HV_E_DATA_LOSS }, /* and here, too */
    { "p", "0 path=a\n", 'x', HV_E_DATA_LOSS },
    { "p", "x", 'x', HV_E_DATA_LOSS },
    { "p", "29 size=99999999999999999999\n", 'x', HV_E_DATA_LOSS },
    { "p", "24 GNU.sparse.major=1.0\n", 'x', HV_E_UNIMPLEMENTED },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct archive *a = calloc (1, sizeof *a);
    (void) add (a, cases[i].name, cases[i].type, cases[i].data, strlen (cases[i].data));
    expect (a, cases[i].code, NULL);
    free (a);
  }
}

static void
test_numbers (void **state)
{
  struct archive *a = calloc (1, sizeof *a);
  (void) state;
  uint8_t *h = add (a, "a", '0', "xy", 2);
  memset (h + 124, 0, 12);
  h[124] = 0x80;
  h[135] = 2;
  seal (h);
  expect (a, 0, "[0 a 2]xy");
  h[124] = 0xff; /* negative */
  seal (h);
  expect (a, HV_E_DATA_LOSS, NULL);
  h[124] = 0x80;
  memset (h + 125, 0xff, 11); /* beyond 2^64 */
  seal (h);
  expect (a, HV_E_DATA_LOSS, NULL);
  memcpy (h + 124, "00000000009", 11); /* no octal digit */
  seal (h);
  expect (a, HV_E_DATA_LOSS, NULL);
  (void) snprintf ((char *) h + 124, 12, "%011o", 2);
  seal (h);
  h[0] ^= 1; /* the checksum */
  expect (a, HV_E_DATA_LOSS, NULL);
  free (a);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_kinds), cmocka_unit_test (test_long_names),
                                      cmocka_unit_test (test_refused), cmocka_unit_test (test_numbers) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
