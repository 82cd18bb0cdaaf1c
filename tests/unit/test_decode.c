/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decoding: what arrives, what is refused, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/err/err.h"
#include "core/msg/msg.h"
#include "core/msg/text.h"
#include "tests/lib/every_type.h"
#include <cmocka.h>
#include <hvkit/iface/hypervisor.h>
#include <stdio.h>
#include <string.h>

static struct hv_arena arena;
static struct hv_err *err;
static struct hv_pack packed;
static const int32_t fds[] = { 7, 9 };

static int
set_up (void **state)
{
  (void) state;
  err = hv_error_new ();
  return err == NULL ? -1 : 0;
}

static int
tear_down (void **state)
{
  (void) state;
  hv_err_free (err);
  hv_arena_free (&arena);
  hv_pack_clear (&packed);
  return 0;
}

static int
decode_packed (const struct hv_record *rec, uint32_t flags, void *out)
{
  struct hv_decode how = { .arena = &arena, .flags = flags, .fds = fds, .fd_count = 2 };
  memset (out, 0, rec->c_size);
  return hv_record_decode (rec, (struct hv_bin){ packed.data, packed.size }, &how, out, err);
}

static int
decode_json (const struct hv_record *rec, const char *json, uint32_t flags, void *out)
{
  packed.size = 0;
  assert_int_equal (hv_json_to_pack (json, strlen (json), &packed, NULL), 0);
  return decode_packed (rec, flags, out);
}

static void
tree (const char *json, struct et_tree *t)
{
  if (decode_json (&et_tree_record, json, 0, t) < 0)
    fail_msg ("%s: %s", json, hv_err_message (err));
}

static void
test_every_value (void **state)
{
  struct et_tree t;
  (void) state;
  tree ("{\"flag\":true,\"number\":-5,\"offset\":-9223372036854775808,\"count\":4294967295,\"size\":9223372036854775807,"
        "\"ratio\":1.25,\"text\":\"h\\u00e4\",\"path\":\"/a/"
        "b..c\",\"quantity\":\"4Gi\",\"uuid\":\"0B3FF1C6-2d5f-4e3a-9a51-6ffb0f0b5b61\","
        "\"mac\":\"52:54:00:aB:cd:ef\",\"domain\":\"x.y-z\",\"bytes\":\"abc\",\"color\":\"red\",\"branch\":{\"on\":false},"
        "\"leaf\":{\"name\":\"l\"},\"branches\":[{},{\"cores\":4,\"leaves\":[{\"name\":\"a\"},{\"name\":\"b\",\"size_bytes\":1024}]"
        "}],"
        "\"words\":[\"\",\"two\"],\"paths\":[\"/"
        "\"],\"labels\":{\"k\":\"v\",\"\":\"\"},\"limits\":{\"a\":1,\"b\":true,\"c\":0.5,\"d\":\"x\"},"
        "\"any\":[1,{\"x\":null}],\"file\":1,\"server\":{\"what\":[\"ever\"]}}",
        &t);
  assert_true (t.flag == 1 && t.has.flag);
  assert_int_equal (t.number, -5);
  assert_true (t.offset == INT64_MIN);
  assert_int_equal (t.count, UINT32_MAX);
  assert_true (t.size == INT64_MAX);
  assert_true (t.ratio == 1.25);
  assert_string_equal (t.text, "h\xc3\xa4");
  assert_string_equal (t.path, "/a/b..c");
  assert_string_equal (t.quantity, "4Gi");
  assert_string_equal (t.mac, "52:54:00:aB:cd:ef");
  assert_string_equal (t.domain, "x.y-z");
  assert_int_equal (t.bytes.size, 3);
  assert_true (t.bytes.data > packed.data && t.bytes.data < packed.data + packed.size); /* not copied */
  assert_int_equal (t.color, 0);
  assert_true (t.branch.on == 0 && t.branch.has.on && t.branch.cores == 1 && !t.branch.has.cores);
  assert_string_equal (t.leaf.name, "l");
  assert_int_equal (t.branches.count, 2);
  assert_true (t.branches.items[0].on == 1 && t.branches.items[0].leaves.count == 0);
  assert_int_equal (t.branches.items[1].leaves.count, 2);
  assert_true (t.branches.items[1].leaves.items[0].size_bytes == 512 && t.branches.items[1].leaves.items[1].size_bytes == 1024);
  assert_true (t.words.count == 2 && strcmp (t.words.items[1], "two") == 0);
  assert_true (t.labels.count == 2 && strcmp (t.labels.items[0].key, "k") == 0 && strcmp (t.labels.items[0].value, "v") == 0);
  assert_string_equal (t.limits.items[0].value, "1");
  assert_string_equal (t.limits.items[1].value, "true");
  assert_string_equal (t.limits.items[2].value, "0.5");
  assert_int_equal (t.any.size, 6);
  assert_int_equal (t.any.data[0], 0x92);
  assert_int_equal (t.file, 9);
  assert_true (t.has.file && t.has.any && t.has.branches && t.has.leaf && !t.has.server);
  assert_null (t.server);
}

static void
test_absent_is_not_zero (void **state)
{
  struct et_tree t, none = { 0 };
  uint8_t nothing[sizeof t.has] = { 0 };
  (void) state;
  tree ("{}", &t);
  assert_memory_equal (&t.has, nothing, sizeof nothing);
  assert_int_equal (t.number, -3);
  assert_true (t.ratio == 0.5);
  assert_string_equal (t.domain, "a.example");
  assert_int_equal (t.color, 2);
  assert_int_equal (t.file, -1);
  assert_true (t.branch.cores == 1 && t.branch.on == 1); /* defaults inside an absent record */
  assert_true (t.leaf.size_bytes == 512 && t.leaf.color == 1 && t.leaf.name == NULL);
  /* the same without any message, and with no bytes at all */
  assert_int_equal (hv_record_defaults (&et_tree_record, &arena, &none, err), 0);
  assert_memory_equal (&t, &none, sizeof t);
  packed.size = 0;
  uint64_t mark = hv_arena_mark (&arena);
  assert_int_equal (decode_packed (&et_tree_record, 0, &none), 0);
  assert_memory_equal (&t, &none, sizeof t);
  assert_int_equal (hv_arena_mark (&arena), mark); /* no arguments need no memory */
}

static void
test_nil_where_allowed (void **state)
{
  struct et_tree t;
  (void) state;
  tree ("{\"domain\":null,\"leaf\":null,\"any\":null,\"server\":null}", &t);
  assert_string_equal (t.domain, "a.example");
  assert_true (!t.has.domain && !t.has.leaf && !t.has.server && t.leaf.color == 1);
  assert_true (t.has.any && t.any.size == 1); /* nil is a value of "anything" */
}

static void
test_scalars_as_text (void **state)
{
  static const char *const cases[][2]
      = { { "4", "4" }, { "-1", "-1" }, { "0.5", "0.5" }, { "true", "true" }, { "\"2Gi\"", "2Gi" } };
  struct et_tree t;
  char json[64];
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    (void) snprintf (json, sizeof json, "{\"quantity\":%s}", cases[i][0]);
    tree (json, &t);
    assert_string_equal (t.quantity, cases[i][1]);
  }
}

/* Any order of keys; reserved arguments are the bus's own. */
static void
test_order_and_reserved (void **state)
{
  struct et_branch b;
  (void) state;
  assert_int_equal (
      decode_json (&et_branch_record, "{\"leaves\":[],\"_timeout_ms\":5,\"cores\":2,\"_x\":{\"y\":[1]},\"on\":false}", 0, &b), 0);
  assert_true (b.cores == 2 && b.on == 0 && b.has.on && b.has.leaves && b.leaves.count == 0);
}

static void
test_open_reader (void **state)
{
  struct et_tree t;
  (void) state;
  assert_int_equal (
      decode_json (&et_tree_record, "{\"new\":{\"a\":[]},\"branch\":{\"x\":1,\"cores\":3},\"count\":5}", HV_DECODE_OPEN, &t), 0);
  assert_true (t.count == 5 && t.branch.cores == 3);
  packed.size = 0; /* keys that are not text are stepped over too */
  hv_pack_map (&packed, 2);
  hv_pack_array (&packed, 1);
  hv_pack_u64 (&packed, 1);
  hv_pack_map (&packed, 0);
  hv_pack_str (&packed, "count");
  hv_pack_u64 (&packed, 6);
  assert_int_equal (decode_packed (&et_tree_record, HV_DECODE_OPEN, &t), 0);
  assert_int_equal (t.count, 6);
}

/* --- what is refused --- */

static void
expect_failure (int r, const char *what, const char *text, const char *path)
{
  if (r != HV_E_INVALID_ARGUMENT)
    fail_msg ("%s: returned %d: %s", what, r, hv_err_message (err));
  if (strcmp (hv_err_message (err), text) != 0)
    fail_msg ("%s:\n  says  %s\n  not   %s", what, hv_err_message (err), text);
  const char *have = hv_err_data_get (err, "path");
  if (path == NULL ? have != NULL : have == NULL || strcmp (have, path) != 0)
    fail_msg ("%s: path is %s, not %s", what, have != NULL ? have : "absent", path != NULL ? path : "absent");
  hv_err_free (err);
  err = hv_error_new ();
}

static void
refused (const char *json, const char *text, const char *path)
{
  struct et_tree t;
  expect_failure (decode_json (&et_tree_record, json, 0, &t), json, text, path);
}

static void
test_wrong_types (void **state)
{
  (void) state;
  refused ("{\"flag\":1}", "flag: must be true or false, not a number", "flag");
  refused ("{\"flag\":\"true\"}", "flag: must be true or false, not text", "flag");
  refused ("{\"number\":1.5}", "number: must be a whole number, not a number with a fraction", "number");
  refused ("{\"count\":\"4\"}", "count: must be a whole number, not text", "count");
  refused ("{\"ratio\":\"x\"}", "ratio: must be a number, not text", "ratio");
  refused ("{\"text\":5}", "text: must be text, not a number", "text");
  refused ("{\"text\":null}", "text: must be text, not nil", "text");
  refused ("{\"quantity\":[]}", "quantity: must be text, not a list", "quantity");
  refused ("{\"bytes\":{}}", "bytes: must be bytes, not a map", "bytes");
  refused ("{\"color\":1}", "color: must be text, not a number", "color");
  refused ("{\"branch\":[]}", "branch: must be a map, not a list", "branch");
  refused ("{\"branch\":null}", "branch: must be a map, not nil", "branch");
  refused ("{\"branches\":{}}", "branches: must be a list of maps, not a map", "branches");
  refused ("{\"branches\":[{},5]}", "branches[1]: must be a map, not a number", "branches[1]");
  refused ("{\"words\":\"a\"}", "words: must be a list of texts, not text", "words");
  refused ("{\"words\":[\"a\",false]}", "words[1]: must be text, not true or false", "words[1]");
  refused ("{\"labels\":[]}", "labels: must be a map of texts, not a list", "labels");
  refused ("{\"labels\":{\"a.b/c\":1}}", "labels.a.b/c: must be text, not a number", "labels.a.b/c");
  refused ("{\"limits\":{\"a\":[]}}", "limits.a: must be text, not a list", "limits.a");
  refused ("{\"file\":\"x\"}", "file: must be the index of a descriptor, not text", "file");
  refused ("{\"file\":2}", "file: descriptor 2 did not come with the message", "file");
  refused ("[]", "must be a map, not a list", NULL);
}

static void
test_out_of_range (void **state)
{
  (void) state;
  refused ("{\"number\":-6}", "number: -6 is out of range (-5 to 10)", "number");
  refused ("{\"number\":11}", "number: 11 is out of range (-5 to 10)", "number");
  refused ("{\"count\":-1}", "count: -1 is out of range (0 to 4294967295)", "count");
  refused ("{\"count\":4294967296}", "count: 4294967296 is out of range (0 to 4294967295)", "count");
  refused ("{\"size\":1}", "size: 1 is too small, at least 2 is needed", "size");
  refused ("{\"ratio\":100.5}", "ratio: 100.5 is out of range (0 to 100)", "ratio");
  refused ("{\"branch\":{\"cores\":0}}", "branch.cores: 0 is out of range (1 to 512)", "branch.cores");
  refused ("{\"branches\":[{},{\"leaves\":[{\"name\":\"a\",\"size_bytes\":3}]}]}",
           "branches[1].leaves[0].size_bytes: 3 is out of range (512 to 1048576 bytes)", "branches[1].leaves[0].size_bytes");
  refused ("{\"text\":\"a\"}", "text: has 1 bytes, at least 2 are needed", "text");
  refused ("{\"text\":\"\"}", "text: must not be empty", "text");
  refused ("{\"text\":\"123456789\"}", "text: has 9 bytes, at most 8 are allowed", "text");
  refused ("{\"bytes\":\"12345678901234567\"}", "bytes: has 17 bytes, at most 16 are allowed", "bytes");
  refused ("{\"words\":[]}", "words: has 0 items, at least 1 are needed", "words");
  refused ("{\"words\":[\"\",\"\",\"\",\"\",\"\"]}", "words: has 5 items, at most 4 are allowed", "words");
  refused ("{\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}}", "labels: has 4 items, at most 3 are allowed", "labels");
  refused ("{\"branch\":{\"leaves\":[{},{},{},{}]}}", "branch.leaves: has 4 items, at most 3 are allowed", "branch.leaves");
}

static void
test_text_checks (void **state)
{
  (void) state;
  refused ("{\"path\":\"a/b\"}", "path: 'a/b' is not an absolute path", "path");
  refused ("{\"path\":\"\"}", "path: '' is not an absolute path", "path");
  refused ("{\"path\":\"/a/../b\"}", "path: '/a/../b' has '..' in it, which is not allowed in a path", "path");
  refused ("{\"path\":\"/a/..\"}", "path: '/a/..' has '..' in it, which is not allowed in a path", "path");
  refused ("{\"paths\":[\"/a\",\"b\"]}", "paths[1]: 'b' is not an absolute path", "paths[1]");
  refused ("{\"uuid\":\"tell nobody\"}", "uuid: this value is not a UUID like 0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b61", "uuid");
  refused ("{\"mac\":\"52:54:00:12:34\"}", "mac: '52:54:00:12:34' is not a MAC address like 52:54:00:12:34:56", "mac");
  refused ("{\"leaf\":{\"name\":\"A b\"}}", "leaf.name: 'A b' is not a name (small letters, digits and inner '-', at most 63)",
           "leaf.name");
  refused ("{\"domain\":\"a..b\"}", "domain: 'a..b' is not a name (small letters, digits, inner '-' and '.', at most 253)",
           "domain");
  refused ("{\"color\":\"bleu\"}", "color: 'bleu' is not one of: red, green, blue; did you mean 'blue'?", "color");
  refused ("{\"color\":\"ultraviolet\"}", "color: 'ultraviolet' is not one of: red, green, blue", "color");
}

static void
test_keys (void **state)
{
  (void) state;
  refused ("{\"pth\":1}", "unknown key 'pth' in et_tree, did you mean 'path'?", "pth");
  refused ("{\"Branch\":{}}", "unknown key 'Branch' in et_tree, did you mean 'branch'?", "Branch");
  refused ("{\"zzzzzz\":1}", "unknown key 'zzzzzz' in et_tree", "zzzzzz");
  refused ("{\"branches\":[{\"leaves\":[{\"nmae\":\"x\"}]}]}", "unknown key 'nmae' in branches[0].leaves[0], did you mean 'name'?",
           "branches[0].leaves[0].nmae");
  refused ("{\"branch\":{\"_hidden\":1}}", "unknown key '_hidden' in branch", "branch._hidden");
  refused ("{\"leaf\":{}}", "leaf.name: required", "leaf.name");
}

/* What JSON cannot say. */
static void
test_raw_bytes (void **state)
{
  static const struct {
    const char *bytes;
    size_t n;
    const char *text, *path;
  } cases[] = {
#define RAW(bytes, text, path) { (bytes), sizeof (bytes) - 1, (text), (path) }
    RAW ("\x82\xa4"
         "flag\xc3\xa4"
         "flag\xc2",
         "flag: is there twice", "flag"),
    RAW ("\x82\xa6"
         "server\x01\xa6"
         "server\x01",
         "server: is there twice", "server"),
    RAW ("\x81\x05\x06", "keys must be text, not a number", NULL),
    RAW ("\x81\xa5"
         "flag\0\xc3",
         "unknown key 'flag?' in et_tree, did you mean 'flag'?", "flag?"),
    RAW ("\x81\xa2"
         "\xff\n\x01",
         "unknown key '?"
         "?' in et_tree",
         "?"
         "?"),
    RAW ("\x81\xa4"
         "text\xa3"
         "a\0b",
         "text: has a NUL byte in it", "text"),
    RAW ("\x81\xa4"
         "text\xa2"
         "\xc3\x28",
         "text: is not valid UTF-8", "text"),
    RAW ("\x81\xa5"
         "words\x91\xa1\xff",
         "words[0]: is not valid UTF-8", "words[0]"),
    RAW ("\x81\xa6"
         "labels\x81\xa1\xff\xa0",
         "labels: is not valid UTF-8", "labels"),
    RAW ("\x81\xa6"
         "labels\x81\x01\xa0",
         "labels: its keys must be text, not a number", "labels"),
    RAW ("\x81\xa6"
         "labels\x82\xa1"
         "a\xa0\xa1"
         "a\xa0",
         "labels: has the key 'a' twice", "labels"),
    RAW ("\x81\xa4"
         "text\xc4\x02"
         "ab",
         "text: must be text, not bytes", "text"),
    RAW ("\x81\xa4"
         "text\xd4\x05\x00",
         "text: must be text, not an extension", "text"),
    RAW ("\x81\xa5"
         "ratio\xcb\x7f\xf0\0\0\0\0\0\0",
         "ratio: must be a finite number", "ratio"),
    RAW ("\x81\xa6"
         "offset\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
         "offset: 18446744073709551615 is out of range (at most 9223372036854775807)", "offset"),
    RAW ("\x81", "is cut short", NULL),
    RAW ("\x81\xa4"
         "flag",
         "flag: is cut short", "flag"),
    RAW ("\x81\xa5"
         "words\x92\xa0",
         "words[1]: is cut short", "words[1]"),
    RAW ("\x81\xa6"
         "branch",
         "branch: is cut short", "branch"),
  };
  struct et_tree t;
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    packed.size = 0;
    hv_pack_raw (&packed, cases[i].bytes, cases[i].n);
    expect_failure (decode_packed (&et_tree_record, 0, &t), cases[i].text, cases[i].text, cases[i].path);
  }
}

/* A path that is too long is cut, and what is cut stays text. */
static void
test_long_and_odd_places (void **state)
{
  struct et_tree t;
  char key[600];
  (void) state;
  for (unsigned shift = 0; shift < 4; shift++) {
    packed.size = 0;
    for (unsigned i = 0; i + 2 < sizeof key; i += 2)
      memcpy (key + i, "\xc3\xa4", 2);
    memcpy (key, "a\nbc", 4);
    hv_pack_map (&packed, 1);
    hv_pack_str (&packed, "labels");
    hv_pack_map (&packed, 1);
    hv_pack_strn (&packed, key + (shift & 2 ? 2 : 0), 590 + (shift & 1) * 2);
    hv_pack_u64 (&packed, 1);
    assert_int_equal (decode_packed (&et_tree_record, 0, &t), HV_E_INVALID_ARGUMENT);
    const char *text = hv_err_message (err);
    assert_int_equal (hv_utf8_check ((const uint8_t *) text, strlen (text)), strlen (text));
    assert_null (strchr (text, '\n'));
    assert_non_null (strstr (text, "must be text, not a number"));
  }
}

static void
test_no_error_wanted (void **state)
{
  struct hv_decode how = { .arena = &arena };
  struct et_tree t = { 0 };
  (void) state;
  assert_int_equal (hv_record_decode (&et_tree_record, (struct hv_bin){ (const uint8_t *) "\x81\xa1x\x01", 4 }, &how, &t, NULL),
                    HV_E_INVALID_ARGUMENT);
}

static void
test_free_map_of_256 (void **state)
{
  struct et_tree t;
  char key[16];
  (void) state;
  for (uint32_t n = 256; n <= 257; n++) {
    packed.size = 0;
    hv_pack_map (&packed, 1);
    hv_pack_str (&packed, "limits");
    hv_pack_map (&packed, n);
    for (uint32_t i = 0; i < n; i++) {
      (void) snprintf (key, sizeof key, "k%u", i);
      hv_pack_str (&packed, key);
      hv_pack_u64 (&packed, i);
    }
    int r = decode_packed (&et_tree_record, 0, &t);
    assert_int_equal (r, n == 256 ? 0 : HV_E_INVALID_ARGUMENT);
  }
}

/* A megabyte of empty maps may not become a hundred of structs. */
static void
test_memory_is_bounded (void **state)
{
  struct et_tree t;
  (void) state;
  packed.size = 0;
  hv_pack_map (&packed, 1);
  hv_pack_str (&packed, "branches");
  hv_pack_array (&packed, 65537);
  for (int i = 0; i < 65537; i++)
    hv_pack_map (&packed, 0);
  expect_failure (decode_packed (&et_tree_record, 0, &t), "65537", "branches: has 65537 items, at most 65536 are allowed",
                  "branches");

  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  struct hv_field big = *et_tree_record.fields[16];
  struct hv_field again = big;
  big.item_size = 1u << 20;
  struct hv_record huge_item = et_branch_record, rec = et_tree_record;
  huge_item.c_size = big.item_size;
  big.record = &huge_item;
  big.name = "first";
  again.name = "second";
  const struct hv_field *fields[] = { &big, &again, NULL };
  rec.fields = fields;
  hv_pack_map (&p, 1);
  hv_pack_str (&p, "first");
  hv_pack_array (&p, 65);
  for (int i = 0; i < 65; i++)
    hv_pack_map (&p, 0);
  struct hv_decode how = { .arena = &arena };
  uint64_t before = hv_arena_mark (&arena);
  memset (&t, 0, sizeof t);
  assert_int_equal (hv_record_decode (&rec, (struct hv_bin){ p.data, p.size }, &how, &t, err), HV_E_RESOURCE_EXHAUSTED);
  assert_string_equal (hv_err_message (err), "first: decoding needs more than 64 MiB");
  assert_int_equal (hv_arena_mark (&arena), before);
}

static void
test_machine (void **state)
{
  struct hv_machine m;
  (void) state;
  int r = decode_json (&hv_machine_record,
                       "{\"name\":\"a_b\",\"uuid\":\"0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b61\",\"memory_bytes\":134217728,"
                       "\"disks\":[{\"name\":\"d\",\"path\":\"/d.img\",\"format\":\"qcow2\"}]}",
                       0, &m);
  assert_int_equal (r, 0);
  assert_true (m.cpu.cores == 1 && m.cpu.sockets == 1 && m.cpu.threads == 1 && !m.has.cpu);
  assert_string_equal (m.cpu.model, "host-model");
  assert_true (m.disks.count == 1 && m.disks.items[0].bus == HV_BUS_VIRTIO && m.disks.items[0].format == HV_DISK_QCOW2);
  assert_true (m.acpi == 1 && m.agent == 1 && m.rng == 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, set_up, tear_down)
int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_every_value),        TEST (test_absent_is_not_zero),
    TEST (test_nil_where_allowed),  TEST (test_scalars_as_text),
    TEST (test_order_and_reserved), TEST (test_open_reader),
    TEST (test_wrong_types),        TEST (test_out_of_range),
    TEST (test_text_checks),        TEST (test_keys),
    TEST (test_raw_bytes),          TEST (test_long_and_odd_places),
    TEST (test_no_error_wanted),    TEST (test_free_map_of_256),
    TEST (test_memory_is_bounded),  TEST (test_machine),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
