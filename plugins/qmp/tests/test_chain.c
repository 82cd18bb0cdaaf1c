/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers of disks, snapshots on them, and the names of block nodes, which a running QEMU and the next version have to agree on. */
#include "harness.h"

#include "argv.h"

/* A disk of these images, top first; the last is raw. */
static struct hv_machine_disk
disk_of (struct hv_machine_layer *layers, const char *const *paths, uint32_t n)
{
  struct hv_machine_disk d = { .name = "root", .path = paths[0], .format = n > 1 ? HV_DISK_QCOW2 : HV_DISK_RAW };
  for (uint32_t i = 1; i < n; i++)
    layers[i - 1] = (struct hv_machine_layer){ .path = paths[i], .format = i + 1 < n ? HV_DISK_QCOW2 : HV_DISK_RAW };
  d.backing.items = layers;
  d.backing.count = n - 1;
  return d;
}

static void
assert_chain (const struct hv_machine_disk *d, const char *expected)
{
  char text[256];
  int at = snprintf (text, sizeof text, "%s:%s", d->path, hv_disk_format_words[d->format]);
  for (uint32_t i = 0; i < d->backing.count; i++)
    at += snprintf (text + at, sizeof text - (size_t) at, " %s:%s", d->backing.items[i].path,
                    hv_disk_format_words[d->backing.items[i].format]);
  assert_string_equal (text, expected);
}

static void
test_drop (void **state)
{
  const char *const paths[] = { "/c", "/b", "/a" };
  struct hv_machine_layer l[4];
  (void) state;
  struct hv_machine_disk d = disk_of (l, paths, 3);
  assert_int_equal (qmp_chain_depth (&d, "/c"), 0);
  assert_int_equal (qmp_chain_depth (&d, "/a"), 2);
  assert_int_equal (qmp_chain_depth (&d, "/x"), -1);
  assert_int_equal (qmp_chain_drop (&d, "/b"), 0);
  assert_chain (&d, "/c:qcow2 /a:raw");
  assert_int_equal (qmp_chain_drop (&d, "/b"), HV_E_NOT_FOUND);
  assert_int_equal (qmp_chain_drop (&d, "/c"), 0);
  assert_chain (&d, "/a:raw");
  assert_int_equal (qmp_chain_drop (&d, "/a"), HV_E_NOT_FOUND); /* a disk is never nothing */
  assert_chain (&d, "/a:raw");
}

/* s1 put /b on /a, s2 put /c on /b; the VM runs on /c. */
struct tree {
  struct hv_machine_layer l1[1], l2[2];
  struct qmp_snapshot_disk d1[1], d2[1];
  struct qmp_snapshot items[2];
  struct qmp_snapshots all;
};

static void
tree_make (struct tree *t)
{
  *t = (struct tree){ .l1 = { { .path = "/a", .format = HV_DISK_RAW } },
                      .l2 = { { .path = "/b", .format = HV_DISK_QCOW2 }, { .path = "/a", .format = HV_DISK_RAW } } };
  t->d1[0] = (struct qmp_snapshot_disk){ .disk = "root", .path = "/b", .format = HV_DISK_QCOW2 };
  t->d1[0].layers.items = t->l1;
  t->d1[0].layers.count = 1;
  t->d2[0] = (struct qmp_snapshot_disk){ .disk = "root", .path = "/c", .format = HV_DISK_QCOW2 };
  t->d2[0].layers.items = t->l2;
  t->d2[0].layers.count = 2;
  t->items[0].name = "s1";
  t->items[0].disks.items = t->d1;
  t->items[0].disks.count = 1;
  t->items[1].name = "s2";
  HV_SET (&t->items[1], parent, "s1");
  t->items[1].disks.items = t->d2;
  t->items[1].disks.count = 1;
  t->all.items.items = t->items;
  t->all.items.count = 2;
  HV_SET (&t->all, current, "s2");
}

static void
test_merge_of_the_lower (void **state)
{
  struct tree t;
  (void) state;
  tree_make (&t);
  assert_true (qmp_snapshot_stands_on (&t.items[1], "root", "/b"));
  qmp_snapshots_without (&t.all, "s1", "root", "/b");
  assert_int_equal (t.all.items.count, 1);
  const struct qmp_snapshot *s = &t.all.items.items[0];
  assert_string_equal (s->name, "s2");
  assert_false (HV_HAS (s, parent));
  assert_int_equal (s->disks.items[0].layers.count, 1); /* /b went into /a: it stands on that alone */
  assert_string_equal (s->disks.items[0].layers.items[0].path, "/a");
  assert_string_equal (t.all.current, "s2");
  assert_false (qmp_snapshots_mention (&t.all, "s1", "root"));
}

static void
test_merge_of_the_upper (void **state)
{
  struct tree t;
  (void) state;
  tree_make (&t);
  qmp_snapshots_without (&t.all, "s2", "root", "/c");
  assert_int_equal (t.all.items.count, 1);
  assert_string_equal (t.all.current, "s1");
  assert_int_equal (t.all.items.items[0].disks.items[0].layers.count, 1);
  assert_null (qmp_snapshot_find (&t.all, "s2"));
}

static void
test_node_names_stay (void **state)
{
  char f[QMP_NODE_NAME], q[QMP_NODE_NAME];
  const char *const paths[] = { "/overlay/disk.qcow2", "/base/disk_1.img" };
  struct hv_machine_layer l[2];
  const char *path = NULL;
  (void) state;
  struct hv_machine_disk d = disk_of (l, paths, 2);
  struct hv_machine m = { .disks = { &d, 1 } };
  qmp_node_name (f, 'f', "containerdisk", "/base/disk_1.img");
  qmp_node_name (q, 'q', "containerdisk", "/base/disk_1.img");
  assert_string_equal (f + 1, q + 1);
  d.name = "containerdisk";
  assert_int_equal (qmp_disk_of_node (&m, q, &path), 0);
  assert_string_equal (path, "/base/disk_1.img");
  assert_int_equal (qmp_disk_of_node (&m, "q-0000000000000000", NULL), -1);
  assert_int_equal (qmp_disk_of_node (&m, NULL, NULL), -1);
  /* the same image on another disk is another node, and so is a name that runs into the path */
  qmp_node_name (f, 'q', "other", "/base/disk_1.img");
  assert_string_not_equal (f, q);
  qmp_node_name (f, 'q', "a", "b/c");
  qmp_node_name (q, 'q', "a/b", "c");
  assert_true (strlen (f) < 32);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_drop),
    cmocka_unit_test (test_merge_of_the_lower),
    cmocka_unit_test (test_merge_of_the_upper),
    cmocka_unit_test (test_node_names_stay),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
