/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heads of msgpack-RPC frames, as clients send them and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/err/err.h"
#include "core/msg/msg.h"
#include <cmocka.h>
#include <string.h>

#define BIN(text) ((struct hv_bin){ (const uint8_t *) (text), sizeof (text) - 1 })

static void
expect_bin (struct hv_bin b, struct hv_bin want)
{
  assert_int_equal (b.size, want.size);
  assert_memory_equal (b.data, want.data, want.size);
}

static void
test_request (void **state)
{
  struct hv_frame f;
  (void) state;
  assert_int_equal (hv_frame_parse (BIN ("\x94\x00\xce\xff\xff\xff\xff\xa8"
                                         "bus.ping"
                                         "\x91\x81\xa1"
                                         "a"
                                         "\x01"),
                                    &f, NULL),
                    0);
  assert_int_equal (f.kind, 0);
  assert_int_equal (f.id, UINT32_MAX);
  expect_bin (f.method, BIN ("bus.ping"));
  expect_bin (f.args, BIN ("\x91\x81\xa1"
                           "a"
                           "\x01"));
  assert_null (f.error.data);
}

static void
test_response (void **state)
{
  struct hv_frame f;
  (void) state;
  assert_int_equal (hv_frame_parse (BIN ("\x94\x01\x07\xc0\x80"), &f, NULL), 0);
  assert_true (f.kind == 1 && f.id == 7);
  expect_bin (f.error, BIN ("\xc0"));
  expect_bin (f.args, BIN ("\x80"));
  assert_int_equal (hv_frame_parse (BIN ("\x94\x01\x07\x92\x00\xa1"
                                         "e"
                                         "\xc0"),
                                    &f, NULL),
                    0);
  expect_bin (f.error, BIN ("\x92\x00\xa1"
                            "e"));
  expect_bin (f.args, BIN ("\xc0"));
}

static void
test_notification (void **state)
{
  struct hv_frame f;
  (void) state;
  assert_int_equal (hv_frame_parse (BIN ("\x93\x02\xa5"
                                         "event"
                                         "\x90"),
                                    &f, NULL),
                    0);
  assert_int_equal (f.kind, 2);
  expect_bin (f.method, BIN ("event"));
  expect_bin (f.args, BIN ("\x90"));
}

static void
expect_bad (struct hv_bin frame, const char *text)
{
  struct hv_err *err = hv_error_new ();
  struct hv_frame f = { .kind = 99 };
  assert_int_equal (hv_frame_parse (frame, &f, err), HV_E_INVALID_ARGUMENT);
  assert_int_equal (f.kind, 99);
  if (strstr (hv_err_message (err), text) == NULL)
    fail_msg ("'%s' is not in '%s'", text, hv_err_message (err));
  hv_err_free (err);
}

static void
test_bad_frames (void **state)
{
  (void) state;
  expect_bad (BIN (""), "list of 3 or 4");
  expect_bad (BIN ("\x80"), "list of 3 or 4");
  expect_bad (BIN ("\x92\x00\x01"), "list of 3 or 4");
  expect_bad (BIN ("\x95\x00\x01\xa1"
                   "m"
                   "\x90\x90"),
              "list of 3 or 4");
  expect_bad (BIN ("\x94\x03\x01\xa1"
                   "m"
                   "\x90"),
              "begins with 0");
  expect_bad (BIN ("\x93\x00\x01\xa1"
                   "m"),
              "begins with 0");
  expect_bad (BIN ("\x94\x02\xa1"
                   "m"
                   "\x90\xc0"),
              "begins with 0");
  expect_bad (BIN ("\x94\x00\xff\xa1"
                   "m"
                   "\x90"),
              "message id");
  expect_bad (BIN ("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1"
                   "m"
                   "\x90"),
              "message id");
  expect_bad (BIN ("\x94\x00\xa1"
                   "1"
                   "\xa1"
                   "m"
                   "\x90"),
              "message id");
  expect_bad (BIN ("\x94\x00\x01\xc4\x01"
                   "m"
                   "\x90"),
              "the method");
  expect_bad (BIN ("\x94\x00\x01\xa0\x90"), "the method");
  expect_bad (BIN ("\x94\x00\x01\xa3"
                   "a b"
                   "\x90"),
              "the method");
  expect_bad (BIN ("\x94\x00\x01\xa2"
                   "\xc3\xa4"
                   "\x90"),
              "the method");
  expect_bad (BIN ("\x94\x00\x01\xa1"
                   "m"
                   "\x80"),
              "parameters");
  expect_bad (BIN ("\x94\x00\x01\xa1"
                   "m"),
              "parameters");
  expect_bad (BIN ("\x94\x00\x01\xa1"
                   "m"
                   "\x90\x01"),
              "bytes follow");
  expect_bad (BIN ("\x94\x01\x01\xc0"), "cut short");
}

static void
test_method_length (void **state)
{
  struct hv_pack p = { 0 };
  struct hv_frame f;
  char name[102];
  (void) state;
  memset (name, 'x', sizeof name);
  for (unsigned n = 100; n <= 101; n++) {
    p.size = 0;
    hv_pack_array (&p, 3);
    hv_pack_u64 (&p, 2);
    hv_pack_strn (&p, name, n);
    hv_pack_array (&p, 0);
    assert_int_equal (hv_frame_parse ((struct hv_bin){ p.data, p.size }, &f, NULL), n == 100 ? 0 : HV_E_INVALID_ARGUMENT);
  }
  hv_pack_clear (&p);
}

static void
expect_args (struct hv_bin params, struct hv_bin want)
{
  struct hv_bin map = { 0 };
  assert_int_equal (hv_frame_args (params, &map, NULL), 0);
  expect_bin (map, want);
}

static void
test_args (void **state)
{
  struct hv_bin map = { 0 };
  (void) state;
  expect_args (BIN ("\x90"), BIN ("\x80"));
  expect_args (BIN ("\x91\x90"), BIN ("\x80"));
  expect_args (BIN ("\x91\xc0"), BIN ("\x80"));
  expect_args (BIN ("\x91\x80"), BIN ("\x80"));
  expect_args (BIN ("\x91\x81\xa1"
                    "a"
                    "\x91\x05"),
               BIN ("\x81\xa1"
                    "a"
                    "\x91\x05"));
  struct hv_bin bad[]
      = { BIN (""), BIN ("\x91"), BIN ("\x92\x80\x80"), BIN ("\x91\x05"), BIN ("\x91\x91\x05"), BIN ("\x80"), BIN ("\xc0") };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal (hv_frame_args (bad[i], &map, NULL), HV_E_INVALID_ARGUMENT);
  assert_null (map.data);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_request),    cmocka_unit_test (test_response),      cmocka_unit_test (test_notification),
    cmocka_unit_test (test_bad_frames), cmocka_unit_test (test_method_length), cmocka_unit_test (test_args),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
