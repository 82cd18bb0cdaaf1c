/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin between a user and a scripted backend that behaves like one: machines have states, and events tell of them. */
#include "../vmi.h"
#include "sdk/tck/fakehost.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* after its prerequisites */
#include <cmocka.h>

#define WAIT_MS 10000

/* --- the backend --- */

struct world {
  struct hv_fake *fake;
  int defined, agent, fail_starts, shutdowns, starts, stops, defines, undefines, creates, overlays, ignore_shutdown, has_base;
  const char *state, *reason;
  int fail_attach;
  char machine[4096], log[1024], attached[2][1024];
};

static void
logged (struct world *w, const char *what)
{
  size_t n = strlen (w->log);
  (void) snprintf (w->log + n, sizeof w->log - n, "%s%s", n > 0 ? " " : "", what);
}

HV_PRINTF (1, 2)
static char *
text (const char *fmt, ...)
{
  char *s = NULL;
  va_list ap;
  va_start (ap, fmt);
  if (vasprintf (&s, fmt, ap) < 0)
    abort ();
  va_end (ap);
  return s;
}

static char *
vm_json (const struct world *w)
{
  return text ("{\"vm\":\"default_a\",\"state\":\"%s\",\"reason\":\"%s\",\"agent_connected\":%s,\"accel\":\"tcg\",\"machine\":\"pc-"
               "q35-7.2\","
               "\"memory_bytes\":268435456,\"pid\":1}",
               w->state, w->reason, w->agent ? "true" : "false");
}

static char *
missing (int *code)
{
  *code = HV_E_NOT_FOUND;
  return text ("VM 'default_a' is not defined");
}

static void
change (struct world *w, const char *state, const char *reason)
{
  char *event = text ("{\"vm\":\"default_a\",\"state\":\"%s\",\"was\":\"%s\",\"reason\":\"%s\"}", state, w->state, reason);
  w->state = state;
  w->reason = reason;
  hv_fake_emit (w->fake, "qmp.lifecycle", event);
  free (event);
}

static char *
on_get (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) args;
  return w->defined ? vm_json (w) : missing (code);
}

static char *
on_list (void *arg, const char *args, int *code)
{
  (void) arg;
  (void) args;
  (void) code;
  return text ("{\"items\":[]}");
}

static char *
on_define (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) code;
  logged (w, "define");
  w->defines++;
  w->defined = 1;
  w->state = "stopped";
  w->reason = "defined";
  (void) snprintf (w->machine, sizeof w->machine, "%s", args);
  return vm_json (w);
}

static char *
on_start (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  logged (w, "start");
  w->starts++;
  if (w->fail_starts > 0) {
    w->fail_starts--;
    change (w, "starting", "user");
    change (w, "stopped", "start_failed");
    *code = HV_E_INTERNAL;
    return text ("qemu: no such option");
  }
  int paused = strstr (args, "\"paused\":true") != NULL;
  change (w, paused ? "paused" : "running", paused ? "user" : "booted");
  return vm_json (w);
}

static char *
on_shutdown (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) args;
  logged (w, "shutdown");
  w->shutdowns++;
  if (w->ignore_shutdown) {
    *code = HV_E_ABORTED;
    return text ("another operation holds the key");
  }
  change (w, "stopped", "shutdown");
  return vm_json (w);
}

static char *
on_stop (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) args;
  logged (w, "stop");
  w->stops++;
  if (!w->defined)
    return missing (code);
  change (w, "stopped", "destroyed");
  return vm_json (w);
}

static char *
on_undefine (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) args;
  logged (w, "undefine");
  w->undefines++;
  if (!w->defined)
    return missing (code);
  w->defined = 0;
  return text ("{}");
}

static char *
on_pause (void *arg, const char *args, int *code)
{
  (void) args;
  (void) code;
  change (arg, "paused", "user");
  return vm_json (arg);
}

static char *
on_resume (void *arg, const char *args, int *code)
{
  (void) args;
  (void) code;
  change (arg, "running", "user");
  return vm_json (arg);
}

static void
touch (const char *args)
{
  json_t *a = json_loads (args, 0, NULL);
  FILE *f = fopen (json_string_value (json_object_get (a, "path")), "we");
  assert_non_null (f);
  (void) fclose (f);
  json_decref (a);
}

#define INFO "{\"path\":\"x\",\"format\":\"%s\",\"virtual_size_bytes\":67108864,\"allocated_bytes\":0%s}"

static char *
on_create (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) code;
  logged (w, "create");
  w->creates++;
  touch (args);
  return text (INFO, "raw", "");
}

static char *
on_overlay (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) code;
  logged (w, "overlay");
  w->overlays++;
  touch (args);
  return text (INFO, "qcow2", "");
}

static char *
on_info (void *arg, const char *args, int *code)
{
  const struct world *w = arg;
  (void) args;
  (void) code;
  return text (INFO, "qcow2", w->has_base ? ",\"backing_path\":\"/etc/shadow\"" : "");
}

/* --- the network --- */

static char *
on_net_attach (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  json_t *a = json_loads (args, 0, NULL);
  const char *nic = json_string_value (json_object_get (a, "nic"));
  int second = json_integer_value (json_object_get (a, "ordinal")) == 1;
  logged (w, "attach");
  (void) snprintf (w->attached[second], sizeof w->attached[second], "%s", args);
  char *answer = text (
      "{\"vm\":\"default_a\",\"nic\":\"%s\",\"state\":\"attached\",\"tap\":\"tap%d\",\"mac\":\"02:00:00:00:00:0%d\",\"mtu\":"
      "1450,\"queues\":1%s}",
      nic, second, second + 1, second ? "" : ",\"netns\":\"/run/pod\",\"addresses\":[\"10.0.2.2/24\",\"fd10:0:2::2/120\"]");
  json_decref (a);
  if (!w->fail_attach)
    return answer;
  free (answer);
  *code = HV_E_UNAVAILABLE;
  return text ("no network today");
}

static char *
on_net_detach (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) args;
  (void) code;
  logged (w, "detach");
  return text ("{}");
}

static void
provide_network (struct world *w)
{
  hv_fake_provide (w->fake, "net-bridge", "net", 1);
  hv_fake_answer (w->fake, "net-bridge.attach", on_net_attach, w);
  hv_fake_answer (w->fake, "net-bridge.detach", on_net_detach, w);
}

/* --- the world --- */

static const char *const quick = "{\"retry_ms\":5,\"retry_max_ms\":20,\"settle_ms\":0,\"agent_retry_ms\":5,\"node\":\"node1\"}";

static void
script (struct world *w)
{
  static const struct {
    const char *method;
    hv_fake_answer_fn *fn;
  } methods[] = { { "qmp.get", on_get },
                  { "qmp.list", on_list },
                  { "qmp.define", on_define },
                  { "qmp.start", on_start },
                  { "qmp.shutdown", on_shutdown },
                  { "qmp.stop", on_stop },
                  { "qmp.undefine", on_undefine },
                  { "qmp.pause", on_pause },
                  { "qmp.resume", on_resume },
                  { "disk-raw.create", on_create },
                  { "disk-qcow2.overlay", on_overlay },
                  { "disk-qcow2.info", on_info } };
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    hv_fake_answer (w->fake, methods[i].method, methods[i].fn, w);
  hv_fake_answer_json (w->fake, "guest-agent.info", HV_E_UNAVAILABLE, "no answer");
  hv_fake_answer_json (w->fake, "guest-agent.interfaces", HV_E_UNIMPLEMENTED, "the guest forbids it");
  hv_fake_answer_json (
      w->fake, "guest-agent.osinfo", 0,
      "{\"id\":\"debian\",\"pretty_name\":\"Debian GNU/Linux 12\",\"kernel_release\":\"6.1.0\",\"hostname\":\"h1\"}");
}

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  w->state = "stopped";
  w->reason = "";
  w->fake = hv_fake_new (&vmi_plugin, quick, NULL, NULL);
  hv_fake_provide (w->fake, "qmp", "hypervisor", 1);
  script (w);
  *state = w;
  return 0;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  hv_fake_free (w->fake);
  free (w);
  return 0;
}

/* --- manifests --- */

#define DOMAIN \
  "  domain:\n    memory: {guest: 256Mi}\n    devices:\n      autoattachPodInterface: false\n      disks:\n      - name: root\n" \
  "        disk: {bus: virtio}\n"
#define CLAIM \
  "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {resources: {requests: {storage: 64Mi}}}\n"
#define VOLUME    "  volumes: [{name: root, persistentVolumeClaim: {claimName: c}}]\n"
#define EPHEMERAL "  volumes: [{name: root, ephemeral: {persistentVolumeClaim: {claimName: c}}}]\n"

/* The spec, indented for the template it is in. */
static char *
vm_manifest (const char *run, const char *volume)
{
  char *body = text ("%s%s", DOMAIN, volume), *out = NULL;
  size_t size = 0;
  FILE *f = open_memstream (&out, &size);
  assert_non_null (f);
  (void) fprintf (f, "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}\nspec:\n  %s\n  template:\n    spec:\n",
                  run);
  for (const char *line = body; *line != '\0'; line = strchr (line, '\n') + 1)
    (void) fprintf (f, "    %.*s\n", (int) strcspn (line, "\n"), line);
  (void) fclose (f);
  free (body);
  return out;
}

static char *
call_manifest (struct world *w, const char *verb, const char *manifest, const char *option, int *ret_code)
{
  json_t *args = json_pack ("{s:s}", "manifest", manifest);
  if (option != NULL)
    json_object_set_new (args, option, json_true ());
  char *json = json_dumps (args, JSON_COMPACT), *answer = hv_fake_call (w->fake, verb, json, ret_code);
  json_decref (args);
  free (json);
  return answer;
}

static void
apply (struct world *w, char *manifest, const char *want)
{
  int code;
  char *answer = call_manifest (w, "apply", manifest, NULL, &code);
  if (code != 0 || strstr (answer, want) == NULL)
    print_message ("%s\n", answer);
  assert_int_equal (code, 0);
  assert_non_null (strstr (answer, want));
  free (answer);
  free (manifest);
}

static char *
with_claim (char *manifest)
{
  char *both = text ("%s%s", manifest, CLAIM);
  free (manifest);
  return both;
}

/* --- looking --- */

/* A member of the only item: "status.phase". NULL: there is none. */
static char *
look (struct world *w, const char *verb, const char *path)
{
  int code;
  char *answer = hv_fake_call (w->fake, verb, "{}", &code), name[64];
  assert_int_equal (code, 0);
  json_t *root = json_loads (answer, 0, NULL), *at = json_array_get (json_object_get (root, "items"), 0);
  while (at != NULL && *path != '\0') {
    size_t n = strcspn (path, ".");
    (void) snprintf (name, sizeof name, "%.*s", (int) n, path);
    at = json_is_array (at) ? json_array_get (at, (size_t) (name[0] - '0')) : json_object_get (at, name);
    path += n + (path[n] == '.');
  }
  char *found = at == NULL            ? NULL
                : json_is_string (at) ? strdup (json_string_value (at))
                                      : json_dumps (at, JSON_COMPACT | JSON_ENCODE_ANY);
  json_decref (root);
  free (answer);
  return found;
}

struct expected {
  struct world *w;
  const char *verb, *path, *value; /* NULL: nothing there */
};

static int
is_seen (void *arg)
{
  struct expected *e = arg;
  char *now = look (e->w, e->verb, e->path);
  int same = (now == NULL) == (e->value == NULL) && (now == NULL || strcmp (now, e->value) == 0);
  free (now);
  return same;
}

static void
see (struct world *w, const char *verb, const char *path, const char *value)
{
  struct expected e = { w, verb, path, value };
  if (!hv_fake_run_until (w->fake, is_seen, &e, WAIT_MS)) {
    char *all = look (w, verb, "");
    fail_msg ("%s %s is not %s: %s (did: %s)", verb, path, value != NULL ? value : "absent", all != NULL ? all : "nothing", w->log);
  }
}

static void
expect_error (struct world *w, const char *verb, const char *args, int code, const char *want)
{
  int got;
  char *answer = hv_fake_call (w->fake, verb, args, &got);
  if (got != code || strstr (answer, want) == NULL)
    print_message ("%d %s\n", got, answer);
  assert_int_equal (got, code);
  assert_non_null (strstr (answer, want));
  free (answer);
}

static void
call (struct world *w, const char *verb, const char *args)
{
  free (hv_fake_call (w->fake, verb, args, NULL));
}

static int
exists (struct world *w, const char *path)
{
  char *whole = text ("%s/state/vmi/%s", hv_fake_dir (w->fake), path);
  int there = access (whole, F_OK) == 0;
  free (whole);
  return there;
}

static int
has_started (void *arg)
{
  const struct expected *e = arg;
  return e->w->starts >= strtol (e->value, NULL, 10) && strcmp (e->w->state, "running") == 0;
}

static void
see_started (struct world *w, const char *times)
{
  struct expected e = { .w = w, .value = times };
  assert_true (hv_fake_run_until (w->fake, has_started, &e, WAIT_MS));
}

/* An image where the claim 'c' has its file. */
static void
put_image (struct world *w)
{
  static const char *const dirs[] = { "volumes", "volumes/default", "volumes/default/c" };
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
    char *dir = text ("%s/state/vmi/%s", hv_fake_dir (w->fake), dirs[i]);
    assert_int_equal (mkdir (dir, 0700), 0);
    free (dir);
  }
  char *file = text ("%s/state/vmi/volumes/default/c/disk.img", hv_fake_dir (w->fake));
  FILE *f = fopen (file, "we");
  assert_non_null (f);
  (void) fclose (f);
  free (file);
}

/* --- tests --- */

static void
a_manifest_becomes_a_running_machine (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "\"object\":\"virtualmachine.kubevirt.io/a\"");
  see (w, "get_vmi", "status.phase", "Running");
  assert_string_equal (w->log, "create overlay define start");
  assert_true (exists (w, "volumes/default/c/disk.img"));
  assert_true (exists (w, "overlays/default_a/root.qcow2"));
  assert_non_null (strstr (w->machine, "\"replace\":true"));
  assert_non_null (strstr (w->machine, "/overlays/default_a/root.qcow2\",\"format\":\"qcow2\",\"backing\":[{\"path\":"));
  see (w, "get_vm", "status.printableStatus", "Running");
  see (w, "get_vm", "hvkit.ready", "True");
  see (w, "get_vmi", "status.nodeName", "node1");
  see (w, "get_vmi", "status.machine.type", "pc-q35-7.2");
  see (w, "get_vmi", "status.memory.guestCurrent", "256Mi");
  see (w, "get_vmi", "status.volumeStatus.0.target", "vda");
  see (w, "get_vmi", "status.volumeStatus.0.persistentVolumeClaimInfo.capacity.storage", "64Mi");
  see (w, "get_vmi", "status.interfaces", "[]");
  see (w, "get_vmi", "metadata.ownerReferences.0.kind", "VirtualMachine");
  see (w, "get_vmi", "status.phaseTransitionTimestamps.0.phase", "Pending");
  see (w, "get_vmi", "status.phaseTransitionTimestamps.3.phase", "Running");
  see (w, "get_pvc", "status.phase", "Bound");
  see (w, "get_vmi", "hvkit.accel", "tcg");
}

static void
deleting_leaves_nothing_but_the_claim (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  w->log[0] = '\0';
  call (w, "delete_vm", "{\"name\":\"a\"}");
  assert_string_equal (w->log, "shutdown undefine");
  see (w, "get_vm", "kind", NULL);
  see (w, "get_vmi", "kind", NULL);
  assert_false (exists (w, "overlays/default_a"));
  assert_true (exists (w, "volumes/default/c/disk.img"));
  expect_error (w, "delete_vm", "{\"name\":\"a\"}", HV_E_NOT_FOUND, "VirtualMachine 'default/a' does not exist");
  call (w, "delete_pvc", "{\"name\":\"c\"}");
  assert_false (exists (w, "volumes/default/c/disk.img"));
  hv_fake_restart (w->fake);
  see (w, "get_vm", "kind", NULL);
}

static void
a_file_that_was_there_is_not_ours_to_delete (void **state)
{
  struct world *w = *state;
  put_image (w);
  apply (w, vm_manifest ("running: true", VOLUME), "created"); /* no claim needed: the file tells the size */
  see (w, "get_vmi", "status.phase", "Running");
  assert_int_equal (w->creates, 0);
  char *manifest = with_claim (vm_manifest ("running: true", VOLUME));
  int code;
  free (call_manifest (w, "apply", manifest, NULL, &code));
  assert_int_equal (code, 0);
  expect_error (w, "delete_pvc", "{\"name\":\"c\"}", HV_E_FAILED_PRECONDITION, "is used by 'a'");
  char *answer = call_manifest (w, "delete", manifest, NULL, &code);
  assert_int_equal (code, 0);
  assert_non_null (strstr (answer, "\"deleted\""));
  assert_true (exists (w, "volumes/default/c/disk.img"));
  free (answer);
  free (manifest);
}

static void
a_claim_without_a_size_is_refused (void **state)
{
  struct world *w = *state;
  char *manifest = vm_manifest ("running: true", VOLUME);
  int code;
  char *answer = call_manifest (w, "apply", manifest, NULL, &code);
  assert_int_equal (code, HV_E_NOT_FOUND);
  assert_non_null (strstr (answer, "volume 'root': nothing says how large claim 'c' is"));
  see (w, "get_vm", "kind", NULL);
  free (answer);
  free (manifest);
}

static void
dry_run_changes_nothing (void **state)
{
  struct world *w = *state;
  char *manifest = with_claim (vm_manifest ("running: true", VOLUME));
  int code;
  char *answer = call_manifest (w, "apply", manifest, "dry_run", &code);
  assert_int_equal (code, 0);
  assert_non_null (strstr (answer, "\"result\":\"created\""));
  see (w, "get_vm", "kind", NULL);
  see (w, "get_pvc", "kind", NULL);
  assert_string_equal (w->log, "");
  free (answer);
  free (manifest);
}

static void
applying_again_says_what_changed (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "\"name\":\"a\",\"result\":\"unchanged\"");
  char *manifest = vm_manifest ("running: true", VOLUME), *at = strstr (manifest, "256Mi");
  memcpy (at, "512Mi", 5);
  apply (w, manifest, "configured");
  see (w, "get_vm", "status.conditions.2.type", "RestartRequired");
  see (w, "get_vm", "status.conditions.2.message", "spec.template.spec.domain.memory.guest");
  see (w, "get_vm", "metadata.generation", "2");
  assert_int_equal (w->starts, 1);
  call (w, "restart", "{\"name\":\"a\"}");
  see_started (w, "2");
  see (w, "get_vmi", "status.phase", "Running");
  see (w, "get_vm", "status.conditions.2.type", NULL);
  assert_non_null (strstr (w->machine, "\"memory_bytes\":536870912"));
}

static void
stop_and_start_follow_the_strategy (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vm", "status.printableStatus", "Running");
  expect_error (w, "start", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "is already running");
  call (w, "stop", "{\"name\":\"a\"}");
  see (w, "get_vm", "status.printableStatus", "Stopped");
  see (w, "get_vm", "spec.running", "false");
  see (w, "get_vmi", "kind", NULL);
  assert_int_equal (w->shutdowns, 1);
  assert_false (exists (w, "overlays/default_a"));
  expect_error (w, "stop", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "is not running");
  expect_error (w, "restart", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "is not running");
  call (w, "start", "{\"name\":\"a\"}");
  see (w, "get_vm", "status.printableStatus", "Running");
  assert_int_equal (w->starts, 2);
  assert_int_equal (w->overlays, 2); /* a fresh one */
}

static int
overlay_is_gone (void *arg)
{
  return !exists (arg, "overlays/default_a");
}

static void
what_moved_away_is_not_started_again (void **state)
{
  static const char *const reasons[] = { "migrated", "saved" };
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  for (int i = 0; i < 2; i++) {
    see (w, "get_vm", "status.printableStatus", "Running");
    change (w, "stopped", reasons[i]);
    see (w, "get_vm", "status.printableStatus", "Stopped");
    see (w, "get_vm", "spec.running", "false");
    assert_int_equal (w->starts, i + 1);
    assert_false (hv_fake_run_until (w->fake, overlay_is_gone, w, 100)); /* who has it now runs on it */
    call (w, "start", "{\"name\":\"a\"}");
  }
}

static void
manual_starts_by_hand_and_stays_down (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("runStrategy: Manual", VOLUME)), "created");
  see (w, "get_vm", "status.printableStatus", "Stopped");
  assert_int_equal (w->starts, 0);
  call (w, "start", "{\"name\":\"a\"}");
  see (w, "get_vmi", "status.phase", "Running");
  change (w, "stopped", "shutdown"); /* the guest shuts itself down */
  see (w, "get_vmi", "status.phase", "Succeeded");
  see (w, "get_vm", "status.printableStatus", "Stopped");
  assert_int_equal (w->starts, 1);
  call (w, "start", "{\"name\":\"a\"}");
  see (w, "get_vmi", "status.phase", "Running");
  call (w, "restart", "{\"name\":\"a\"}");
  see_started (w, "3");
  see (w, "get_vmi", "status.phase", "Running");
  call (w, "stop", "{\"name\":\"a\"}");
  see (w, "get_vmi", "kind", NULL);
  see (w, "get_vm", "status.printableStatus", "Stopped");
}

static void
rerun_on_failure_reruns_on_failure_only (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("runStrategy: RerunOnFailure", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  change (w, "crashed", "crashed");
  see_started (w, "2");
  see (w, "get_vmi", "status.phase", "Running");
  change (w, "stopped", "shutdown");
  see (w, "get_vmi", "status.phase", "Succeeded");
  assert_int_equal (w->starts, 2);
}

static void
always_comes_back (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("runStrategy: Always", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  change (w, "stopped", "shutdown");
  see_started (w, "2");
  see (w, "get_vm", "status.printableStatus", "Running");
}

static void
an_instance_on_its_own_runs_once (void **state)
{
  struct world *w = *state;
  char *manifest = with_claim (
      text ("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n%s%s", DOMAIN, VOLUME));
  apply (w, manifest, "\"object\":\"virtualmachineinstance.kubevirt.io/a\"");
  see (w, "get_vmi", "status.phase", "Running");
  see (w, "get_vm", "kind", NULL);
  expect_error (w, "start", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "is already running");
  expect_error (w, "stop", "{\"name\":\"b\"}", HV_E_NOT_FOUND, "VirtualMachine 'default/b'");
  change (w, "crashed", "crashed");
  see (w, "get_vmi", "status.phase", "Failed");
  expect_error (w, "wait", "{\"name\":\"a\",\"for\":\"Running\"}", HV_E_FAILED_PRECONDITION, "has ended: Failed");
  assert_int_equal (w->starts, 1);
  call (w, "delete_vmi", "{\"name\":\"a\"}");
  see (w, "get_vmi", "kind", NULL);
}

static void
an_instance_on_its_own_is_stopped_and_started (void **state)
{
  struct world *w = *state;
  apply (w,
         with_claim (
             text ("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n%s%s", DOMAIN, VOLUME)),
         "created");
  see (w, "get_vmi", "status.phase", "Running");
  call (w, "stop", "{\"name\":\"a\"}");
  see (w, "get_vmi", "status.phase", NULL);
  assert_int_equal (w->starts, 1);
  call (w, "start", "{\"name\":\"a\"}");
  see (w, "get_vmi", "status.phase", "Running");
  assert_int_equal (w->starts, 2);
}

/* As `hvkit run` has it: from its start to its end, whatever its strategy. */
static void
once_is_once (void **state)
{
  struct world *w = *state;
  int code;
  char *manifest = with_claim (vm_manifest ("running: false", VOLUME));
  free (call_manifest (w, "apply", manifest, "once", &code));
  free (manifest);
  assert_int_equal (code, 0);
  see (w, "get_vmi", "status.phase", "Running");
  see (w, "get_vm", "status.runStrategy", "Once");
  change (w, "stopped", "shutdown");
  see (w, "get_vmi", "status.phase", "Succeeded");
  assert_int_equal (w->starts, 1);
}

static void
a_failed_start_is_tried_again (void **state)
{
  struct world *w = *state;
  w->fail_starts = 3;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  assert_int_equal (w->starts, 4);
  see (w, "get_vm", "status.printableStatus", "Running");
  see (w, "get_vmi", "status.conditions.2.type", NULL); /* Synchronized went away again */
}

static void
a_start_that_fails_for_good_says_why (void **state)
{
  struct world *w = *state;
  w->fail_starts = 1000000;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vm", "status.printableStatus", "CrashLoopBackOff");
  see (w, "get_vm", "status.conditions.1.type", "Synchronized");
  see (w, "get_vm", "status.conditions.1.message", "qemu: no such option");
  int starts = w->starts;
  struct expected never = { w, "get_vm", "status.printableStatus", "Running" };
  assert_false (hv_fake_run_until (w->fake, is_seen, &never, 100));
  assert_in_range (w->starts, starts + 1, starts + 40); /* backed off, though every failure publishes events */
  call (w, "delete_vm", "{\"name\":\"a\"}");
  see (w, "get_vm", "kind", NULL);
}

static void
the_agent_is_asked_until_it_answers (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  see (w, "get_vmi", "status.guestOSInfo", "{}");
  w->agent = 1;
  hv_fake_emit (w->fake, "qmp.agent", "{\"vm\":\"default_a\",\"connected\":true}");
  struct expected known = { w, "get_vmi", "hvkit.agent", "8.2.0" };
  assert_false (hv_fake_run_until (w->fake, is_seen, &known, 30));
  hv_fake_answer_json (w->fake, "guest-agent.info", 0, "{\"version\":\"8.2.0\",\"commands\":[\"guest-ping\"]}");
  struct hv_fake_call *waiting = hv_fake_call_start (w->fake, "wait", "{\"name\":\"a\",\"for\":\"condition=AgentConnected\"}");
  free (hv_fake_call_finish (waiting, NULL));
  see (w, "get_vmi", "hvkit.agent", "8.2.0");
  see (w, "get_vmi", "status.guestOSInfo.prettyName", "Debian GNU/Linux 12");
  see (w, "get_vmi", "status.guestOSInfo.kernelRelease", "6.1.0");
  see (w, "get_vmi", "hvkit.hostname", "h1");
  int code;
  char *info = hv_fake_call (w->fake, "guestosinfo", "{\"name\":\"a\"}", &code);
  assert_int_equal (code, 0);
  assert_non_null (strstr (info, "\"guestAgentVersion\":\"8.2.0\",\"hostname\":\"h1\""));
  free (info);
  see (w, "get_vmi", "status.fsFreezeStatus", NULL);
  hv_fake_answer_json (w->fake, "guest-agent.freeze_status", 0, "{\"status\":\"frozen\"}");
  hv_fake_emit (w->fake, "guest-agent.changed", "{\"vm\":\"default_a\",\"backend\":\"qmp\",\"what\":\"freeze_status\"}");
  see (w, "get_vmi", "status.fsFreezeStatus", "frozen");
  w->agent = 0;
  hv_fake_emit (w->fake, "qmp.agent", "{\"vm\":\"default_a\",\"connected\":false}");
  see (w, "get_vmi", "hvkit.agent", NULL);
  see (w, "get_vmi", "status.guestOSInfo.prettyName", "Debian GNU/Linux 12");
}

static void
pause_and_unpause (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  expect_error (w, "unpause", "{\"name\":\"b\"}", HV_E_NOT_FOUND, "VirtualMachineInstance 'default/b'");
  see (w, "get_vmi", "status.phase", "Running");
  call (w, "pause", "{\"name\":\"a\"}");
  see (w, "get_vm", "status.printableStatus", "Paused");
  see (w, "get_vmi", "status.conditions.2.reason", "PausedByUser");
  see (w, "get_vmi", "hvkit.ready", "False");
  expect_error (w, "pause", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "paused already");
  call (w, "unpause", "{\"name\":\"a\"}");
  see (w, "get_vm", "status.printableStatus", "Running");
}

static char *
on_session (void *arg, const char *args, int *code)
{
  struct world *w = arg;
  (void) code;
  logged (w, args);
  return text ("{\"token\":\"t0\"}");
}

static void
sessions_are_the_backends (void **state)
{
  struct world *w = *state;
  int code = -1;
  hv_fake_answer (w->fake, "qmp.console", on_session, w);
  hv_fake_answer (w->fake, "qmp.display", on_session, w);
  hv_fake_answer_json (w->fake, "qmp.screenshot", HV_E_FAILED_PRECONDITION, "it has no screen");
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  expect_error (w, "console", "{\"name\":\"b\"}", HV_E_NOT_FOUND, "VirtualMachineInstance 'default/b'");
  char *answer = hv_fake_call (w->fake, "console", "{\"name\":\"a\",\"force\":true}", &code);
  assert_int_equal (code, 0);
  assert_string_equal (answer, "{\"token\":\"t0\"}");
  free (answer);
  call (w, "vnc", "{\"name\":\"a\"}");
  assert_non_null (strstr (w->log, "{\"vm\":\"default_a\",\"force\":true}"));
  assert_non_null (strstr (w->log, "{\"vm\":\"default_a\"}"));
  expect_error (w, "screenshot", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "it has no screen");
}

/* --- networks --- */

#define NETWORKS \
  "  domain:\n    memory: {guest: 256Mi}\n    devices:\n      disks:\n      - name: root\n        disk: {bus: virtio}\n" \
  "      interfaces:\n      - name: default\n        masquerade: {}\n        ports: [{port: 80}, {port: 53, protocol: UDP}]\n" \
  "        dhcpOptions: {bootFileName: boot, privateOptions: [{option: 240, value: x}]}\n      - name: lan\n        bridge: {}\n" \
  "        macAddress: \"02:00:00:00:00:02\"\n        model: e1000\n" \
  "  networks:\n  - name: default\n    pod: {}\n  - name: lan\n    multus: {networkName: ns/office}\n"

static char *
instance_with (const char *domain)
{
  return text ("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n%s%s", domain, VOLUME);
}

static void
cards_are_connected_before_a_start_and_after_a_run_no_longer (void **state)
{
  struct world *w = *state;
  provide_network (w);
  apply (w, with_claim (instance_with (NETWORKS)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  assert_string_equal (w->log, "create attach attach define start");
  static const char *const said[] = { "\"vm\":\"default_a\",\"nic\":\"default\"",
                                      "\"binding\":\"masquerade\"",
                                      "\"ports\":[\"80/tcp\",\"53/udp\"]",
                                      "\"hostname\":\"a\"",
                                      "\"bootfile\":\"boot\"",
                                      "\"options\":{\"240\":\"x\"}" };
  for (size_t i = 0; i < sizeof said / sizeof *said; i++)
    if (strstr (w->attached[0], said[i]) == NULL)
      fail_msg ("no %s in %s", said[i], w->attached[0]);
  assert_non_null (strstr (w->attached[1], "\"network\":\"office\""));
  assert_null (strstr (w->attached[1], "hostname"));
  assert_non_null (strstr (w->machine,
                           "\"nics\":[{\"name\":\"default\",\"mac\":\"02:00:00:00:00:01\",\"tap\":\"tap0\",\"netns\":\"/run/pod\","
                           "\"mtu\":1450,\"queues\":1},{\"name\":\"lan\",\"model\":\"e1000\",\"mac\":\"02:00:00:00:00:02\""));
  assert_non_null (strstr (w->machine, "\"tap\":\"tap1\",\"queues\":1}")); /* an e1000 is not told its MTU */
  see (w, "get_vmi", "status.interfaces.0.infoSource", "domain");
  see (w, "get_vmi", "status.interfaces.0.ipAddress", "10.0.2.2");
  see (w, "get_vmi", "status.interfaces.0.ipAddresses.1", "fd10:0:2::2");
  see (w, "get_vmi", "status.interfaces.0.mac", "02:00:00:00:00:01");
  see (w, "get_vmi", "status.interfaces.0.queueCount", "1");
  see (w, "get_vmi", "status.interfaces.1.name", "lan");
  see (w, "get_vmi", "status.interfaces.1.ipAddress", NULL);
  see (w, "get_vmi", "hvkit.ip", "10.0.2.2");
  w->log[0] = '\0';
  hv_fake_restart (w->fake);
  see (w, "get_vmi", "status.interfaces.0.ipAddress", "10.0.2.2");
  assert_string_equal (w->log, "");
  call (w, "delete_vmi", "{\"name\":\"a\",\"wait\":true}");
  assert_string_equal (w->log, "shutdown undefine detach");
}

/* What the guest was given comes first; what only its agent knows is asked for until it does. */
static void
the_agent_knows_more_addresses (void **state)
{
  struct world *w = *state;
  provide_network (w);
  apply (w, with_claim (instance_with (NETWORKS)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  hv_fake_answer_json (w->fake, "guest-agent.info", 0, "{\"version\":\"8.2.0\",\"commands\":[\"guest-ping\"]}");
  hv_fake_answer_json (
      w->fake, "guest-agent.interfaces", 0,
      "{\"items\":[{\"name\":\"lo\",\"mac\":\"00:00:00:00:00:00\",\"addresses\":[\"127.0.0.1/8\"]},{\"name\":\"ens3\",\"mac\":"
      "\"02:00:00:00:00:01\",\"addresses\":[\"172.17.0.1/16\",\"10.0.2.2/24\",\"fe80::1/64\"]},{\"name\":\"ens4\",\"mac\":\"02:00:"
      "00:00:00:02\",\"addresses\":[\"fe80::2/64\"]}]}");
  w->agent = 1;
  hv_fake_emit (w->fake, "qmp.agent", "{\"vm\":\"default_a\",\"connected\":true}");
  see (w, "get_vmi", "status.interfaces.0.infoSource", "domain, guest-agent");
  see (w, "get_vmi", "status.interfaces.0.interfaceName", "ens3");
  see (w, "get_vmi", "status.interfaces.0.ipAddress", "10.0.2.2");
  see (w, "get_vmi", "status.interfaces.0.ipAddresses", "[\"10.0.2.2\",\"fd10:0:2::2\",\"172.17.0.1\"]");
  see (w, "get_vmi", "status.interfaces.1.ipAddress", NULL);
  hv_fake_answer_json (
      w->fake, "guest-agent.interfaces", 0,
      "{\"items\":[{\"name\":\"ens3\",\"mac\":\"02:00:00:00:00:01\",\"addresses\":[\"10.0.2.2/24\"]},{\"name\":\"ens4\",\"mac\":"
      "\"02:00:00:00:00:02\",\"addresses\":[\"192.168.1.7/24\"]}]}");
  see (w, "get_vmi", "status.interfaces.1.ipAddress", "192.168.1.7");
}

static void
a_start_without_its_network_is_tried_again (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (instance_with (NETWORKS)), "created");
  see (w, "get_vmi", "status.phase", "Failed");
  call (w, "delete_vmi", "{\"name\":\"a\",\"wait\":true}");
  provide_network (w);
  w->fail_attach = 1;
  apply (w, with_claim (instance_with (NETWORKS)), "created");
  see (w, "get_vmi", "status.conditions.1.message", "interface 'default': no network today");
  w->fail_attach = 0;
  see (w, "get_vmi", "status.phase", "Running");
}

static void
a_restart_of_the_plugin_changes_nothing (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  char *uid = look (w, "get_vmi", "metadata.uid");
  hv_fake_restart (w->fake);
  see (w, "get_vmi", "status.phase", "Running");
  see (w, "get_vmi", "hvkit.ready", "True");
  char *again = look (w, "get_vmi", "metadata.uid");
  assert_string_equal (uid, again);
  assert_int_equal (w->starts, 1);
  assert_int_equal (w->overlays, 1);
  assert_true (exists (w, "overlays/default_a/root.qcow2"));
  free (uid);
  free (again);
}

static void
what_ended_meanwhile_is_noticed (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("runStrategy: Manual", EPHEMERAL)), "created");
  call (w, "start", "{\"name\":\"a\"}");
  see (w, "get_vmi", "status.phase", "Running");
  w->state = "crashed"; /* and nobody tells */
  w->reason = "crashed";
  hv_fake_restart (w->fake);
  see (w, "get_vmi", "status.phase", "Failed");
  see (w, "get_vmi", "hvkit.state", "undefined");
  assert_int_equal (w->undefines, 1);
}

/* As if the daemon had died after `start` and before it was written down. */
static void
a_machine_that_runs_is_adopted_not_started_again (void **state)
{
  struct world *w = *state;
  w->defined = 1;
  w->state = "running";
  w->reason = "booted";
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  assert_string_equal (w->log, "");
}

static void
an_unreachable_machine_is_left_alone (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  w->log[0] = '\0';
  change (w, "unreachable", "");
  see (w, "get_vm", "status.printableStatus", "Unknown");
  see (w, "get_vmi", "status.phase", "Running");
  assert_string_equal (w->log, "");
  assert_true (exists (w, "overlays/default_a/root.qcow2"));
  change (w, "running", "");
  see (w, "get_vm", "status.printableStatus", "Running");
}

static char *
gone (void *arg, const char *args, int *code)
{
  (void) arg;
  (void) args;
  *code = HV_E_NOT_FOUND;
  return text ("there is no running plugin instance 'qmp'");
}

static void
a_backend_that_is_down_is_no_news_about_vms (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  hv_fake_answer (w->fake, "qmp.get", gone, NULL);
  hv_fake_answer (w->fake, "qmp.list", gone, NULL);
  w->log[0] = '\0';
  hv_fake_emit (w->fake, "qmp.lifecycle", "{\"vm\":\"default_a\",\"state\":\"stopped\"}");
  see (w, "get_vmi", "status.conditions.2.type", "Synchronized");
  see (w, "get_vmi", "status.phase", "Running");
  assert_string_equal (w->log, "");
  script (w);
  see (w, "get_vmi", "status.conditions.2.type", NULL);
}

static void
a_deletion_goes_on_after_a_restart (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", EPHEMERAL)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  w->ignore_shutdown = 1;
  call (w, "delete_vm", "{\"name\":\"a\",\"wait\":false}");
  see (w, "get_vm", "status.printableStatus", "Terminating");
  char *manifest = with_claim (vm_manifest ("running: true", EPHEMERAL));
  int code;
  char *answer = call_manifest (w, "apply", manifest, NULL, &code);
  assert_int_equal (code, HV_E_FAILED_PRECONDITION);
  assert_non_null (strstr (answer, "is being deleted"));
  hv_fake_restart (w->fake);
  see (w, "get_vm", "status.printableStatus", "Terminating");
  w->ignore_shutdown = 0;
  struct hv_fake_call *waiting = hv_fake_call_start (w->fake, "wait", "{\"name\":\"a\",\"for\":\"delete\"}");
  free (hv_fake_call_finish (waiting, NULL));
  see (w, "get_vm", "kind", NULL);
  assert_false (exists (w, "overlays/default_a"));
  free (answer);
  free (manifest);
}

static void
no_grace_means_at_once (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  call (w, "delete_vm", "{\"name\":\"a\",\"grace_period_seconds\":0}");
  assert_int_equal (w->shutdowns, 0);
  assert_true (w->stops > 0);
}

static void
overlays_of_nobody_are_swept (void **state)
{
  struct world *w = *state;
  char *dir = text ("%s/state/vmi/overlays", hv_fake_dir (w->fake)), *sub = text ("%s/default_x", dir),
       *file = text ("%s/a.qcow2", sub);
  (void) mkdir (dir, 0700);
  assert_int_equal (mkdir (sub, 0700), 0);
  (void) fclose (fopen (file, "we"));
  hv_fake_restart (w->fake);
  assert_false (exists (w, "overlays/default_x"));
  free (dir);
  free (sub);
  free (file);
}

static void
an_image_with_a_base_of_its_own_is_refused (void **state)
{
  struct world *w = *state;
  w->has_base = 1;
  char *manifest = vm_manifest ("running: true", EPHEMERAL), *at = strstr (manifest, "{name: a}");
  char *annotated
      = text ("%.*s{name: a, annotations: {hvkit.io/volume-format.root: qcow2}}%s", (int) (at - manifest), manifest, at + 9);
  free (manifest);
  put_image (w);
  apply (w, annotated, "created");
  see (w, "get_vm", "status.printableStatus", "CrashLoopBackOff");
  char *why = look (w, "get_vm", "status.conditions.1.message");
  assert_non_null (strstr (why, "has a base of its own, '/etc/shadow'"));
  assert_int_equal (w->overlays + w->starts, 0);
  free (why);
}

static void
events_tell_of_changes (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  char *event = hv_fake_wait_event (w->fake, "vmi.object", WAIT_MS);
  assert_non_null (event);
  assert_non_null (strstr (event, "\"type\":\"ADDED\",\"kind\":\"VirtualMachine\",\"namespace\":\"default\",\"name\":\"a\""));
  free (event);
  call (w, "delete_vm", "{\"name\":\"a\"}");
  int deleted = 0;
  while (!deleted && (event = hv_fake_wait_event (w->fake, "vmi.object", WAIT_MS)) != NULL) {
    deleted = strstr (event, "\"type\":\"DELETED\"") != NULL;
    free (event);
  }
  assert_true (deleted);
}

static void
descriptions_have_events (void **state)
{
  struct world *w = *state;
  int code;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  char *answer = hv_fake_call (w->fake, "describe_vmi", "{\"name\":\"a\"}", &code);
  assert_int_equal (code, 0);
  assert_non_null (strstr (answer, "\"reason\":\"Started\",\"message\":\"the machine runs on qmp (tcg)\""));
  free (answer);
  answer = hv_fake_call (w->fake, "describe_vm", "{\"name\":\"a\"}", &code);
  assert_int_equal (code, 0);
  assert_non_null (strstr (answer, "\"printableStatus\":\"Running\""));
  free (answer);
}

static void
waiting_is_particular_about_words (void **state)
{
  struct world *w = *state;
  expect_error (w, "wait", "{\"name\":\"a\",\"for\":\"Runing\"}", HV_E_INVALID_ARGUMENT, "'Runing' is neither a phase");
  expect_error (w, "wait", "{\"name\":\"a\",\"for\":\"condition=Running\"}", HV_E_INVALID_ARGUMENT, "is neither a phase");
  expect_error (w, "wait", "{\"name\":\"a\",\"for\":\"Running\"}", HV_E_NOT_FOUND, "does not exist");
  call (w, "wait", "{\"name\":\"a\",\"for\":\"delete\"}");
}

static void
a_damaged_record_is_shown_and_can_be_replaced (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  int starts = w->starts;
  char *path = text ("%s/state/vmi/docs/vm_default_a.rec", hv_fake_dir (w->fake));
  hv_fake_down (w->fake); /* what it still had to write is written now */
  assert_int_equal (truncate (path, 20), 0);
  assert_int_equal (hv_fake_up (w->fake, NULL), 0);
  see (w, "get_vm", "status.printableStatus", "Unknown");
  expect_error (w, "stop", "{\"name\":\"a\"}", HV_E_FAILED_PRECONDITION, "its record cannot be read");
  assert_string_equal (w->state, "running"); /* nothing was killed */
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "configured");
  see (w, "get_vmi", "status.phase", "Running");
  assert_int_equal (w->starts, starts);
  free (path);
}

/* --- paused --- */

static char *
on_set_time (void *arg, const char *args, int *code)
{
  int *set = arg;
  assert_non_null (strstr (args, "default_a"));
  *code = ++*set < 2 ? HV_E_DEADLINE_EXCEEDED : 0;
  return *code == 0 ? text ("{}") : text ("it does not answer");
}

static int
is_set (void *arg)
{
  return *(int *) arg == 2;
}

/* A guest that stood still is told the time, and told again if it did not hear. */
static void
unpausing_sets_the_clock (void **state)
{
  struct world *w = *state;
  int set = 0;
  hv_fake_answer (w->fake, "guest-agent.set_time", on_set_time, &set);
  w->agent = 1;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  call (w, "pause", "{\"name\":\"a\"}");
  see (w, "get_vm", "status.printableStatus", "Paused");
  assert_int_equal (set, 0);
  call (w, "unpause", "{\"name\":\"a\"}");
  assert_true (hv_fake_run_until (w->fake, is_set, &set, WAIT_MS));
}

static void
a_start_may_be_paused (void **state)
{
  struct world *w = *state;
  apply (w, with_claim (vm_manifest ("running: true", VOLUME "  startStrategy: Paused\n")), "created");
  see (w, "get_vm", "status.printableStatus", "Paused");
  see (w, "get_vmi", "status.phase", "Running");
  assert_int_equal (w->starts, 1);
  call (w, "unpause", "{\"name\":\"a\"}");
  see (w, "get_vm", "status.printableStatus", "Running");
}

/* --- a disk that fails --- */

static int
is_resumed (void *arg)
{
  return strcmp (((struct world *) arg)->state, "running") == 0;
}

/* Tried again, as virt-handler does; a pause that a person asked for is that person's to end. */
static void
an_io_error_is_tried_again (void **state)
{
  struct world *w = *state;
  hv_fake_free (w->fake);
  w->fake = hv_fake_new (&vmi_plugin, "{\"io_retry_ms\":150,\"io_retry_max_ms\":300}", NULL, NULL);
  hv_fake_provide (w->fake, "qmp", "hypervisor", 1);
  script (w);
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  for (int i = 0; i < 3; i++) {
    change (w, "paused", "io_error");
    see (w, "get_vmi", "status.conditions.2.reason", "PausedIOError");
    assert_true (hv_fake_run_until (w->fake, is_resumed, w, WAIT_MS));
  }
  see (w, "get_vm", "status.printableStatus", "Running");
  change (w, "paused", "user");
  see (w, "get_vmi", "status.conditions.2.reason", "PausedByUser");
  assert_false (hv_fake_run_until (w->fake, is_resumed, w, 700));
}

/* --- the node's memory --- */

#define RESOURCES "resources: {limits: {cpu: \"4\", memory: 4Gi}, requests: {cpu: \"4\", memory: 4Gi}}"

static void
expect_overhead (struct world *w, const char *manifest, const char *kubevirt, uint64_t total)
{
  int code;
  json_t *args = json_pack ("{s:s, s:s}", "manifest", manifest, "kubevirt", kubevirt);
  char *json = json_dumps (args, JSON_COMPACT), *answer = hv_fake_call (w->fake, "overhead", json, &code);
  json_t *got = json_loads (answer, 0, NULL), *row = json_array_get (json_object_get (got, "items"), 0);
  if (code != 0 || (uint64_t) json_integer_value (json_object_get (row, "total_bytes")) != total)
    fail_msg ("KubeVirt %s: %s; %llu was expected", kubevirt, answer, (unsigned long long) total);
  json_decref (got);
  json_decref (args);
  free (json);
  free (answer);
}

/* The figures are KubeVirt's own: those of the reference's pod, and what its formula gives in other versions. */
static void
overhead_is_kubevirts (void **state)
{
  struct world *w = *state;
  static const char vm[]
      = "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}\nspec:\n  running: false\n  template:\n"
        "    spec:\n      domain: {devices: {}, " RESOURCES "}\n";
  expect_overhead (w, vm, "1.2.2", UINT64_C (4687134721));
  expect_overhead (w, vm, "v1.4", UINT64_C (4687134721));
  expect_overhead (w, vm, "1.5", UINT64_C (4697620481));
  expect_overhead (w, vm, "1.6.0", UINT64_C (4714397697));
  expect_overhead (w, vm, "v1.9", UINT64_C (4714397697));
  expect_overhead (w, vm, "main", UINT64_C (4735369217));
  expect_overhead (w, vm, "1.0", UINT64_C (4687134721) - 104857600);
  static const char large[]
      = "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n  domain: {devices: "
        "{}, cpu: {cores: 8}, memory: {guest: 8Gi}}\n";
  expect_overhead (w, large, "0.52", UINT64_C (8843689984));
  static const char bare[]
      = "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n  domain: {devices: "
        "{autoattachGraphicsDevice: false}, memory: {guest: 512M}}\n";
  expect_overhead (w, bare, "1.2.2", UINT64_C (512000000) + 1000000 + (210 + 8 + 8) * UINT64_C (1048576));
  expect_error (w, "overhead", "{\"manifest\":\"kind: x\",\"kubevirt\":\"latest\"}", HV_E_INVALID_ARGUMENT, "manifest");
  json_t *args = json_pack ("{s:s, s:s}", "manifest", bare, "kubevirt", "latest");
  char *json = json_dumps (args, JSON_COMPACT);
  expect_error (w, "overhead", json, HV_E_INVALID_ARGUMENT, "'latest' is not a version");
  json_decref (args);
  free (json);
}

/* A node whose memory is promised already starts no more; what waits starts when there is room. */
static void
a_vm_without_memory_waits (void **state)
{
  struct world *w = *state;
  char *config = text ("{\"retry_ms\":10,\"retry_max_ms\":50,\"memory_reserve_bytes\":%llu}",
                       (unsigned long long) vmi_node_memory () - 100u * 1048576u);
  hv_fake_free (w->fake);
  w->fake = hv_fake_new (&vmi_plugin, config, NULL, NULL);
  free (config);
  hv_fake_provide (w->fake, "qmp", "hypervisor", 1);
  script (w);
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vm", "status.printableStatus", "ErrorUnschedulable");
  see (w, "get_vmi", "status.phase", "Pending");
  char *all = look (w, "get_vmi", "");
  assert_non_null (strstr (all, "insufficient memory: it is reckoned at 499Mi, and the node has 100Mi"));
  free (all);
  assert_int_equal (w->starts, 0);
  assert_int_equal (w->creates, 0);
}

static char *
on_stats (void *arg, const char *args, int *code)
{
  uint64_t *ns = arg;
  (void) args;
  *code = 0;
  *ns += 150000000; /* since it was asked before */
  return text ("{\"items\":[{\"vm\":\"default_a\",\"state\":\"running\",\"cpu\":{\"total_ns\":%llu,\"vcpus\":1},"
               "\"memory\":{\"resident_bytes\":1000,\"size_bytes\":268435456}},{\"vm\":\"other\",\"state\":\"running\"}]}",
               (unsigned long long) *ns);
}

static void
top_shows_what_is_used (void **state)
{
  struct world *w = *state;
  uint64_t ns = 0;
  hv_fake_answer (w->fake, "qmp.stats", on_stats, &ns);
  apply (w, with_claim (vm_manifest ("running: true", VOLUME)), "created");
  see (w, "get_vmi", "status.phase", "Running");
  int code;
  char *answer = hv_fake_call (w->fake, "top", "{\"interval_ms\":100}", &code);
  json_t *got = json_loads (answer, 0, NULL), *items = json_object_get (got, "items"), *row = json_array_get (items, 0);
  assert_int_equal (json_array_size (items), 1); /* not what is another's */
  assert_string_equal (json_string_value (json_object_get (row, "name")), "a");
  json_int_t m = json_integer_value (json_object_get (row, "cpu_millicores"));
  assert_true (m > 0 && m <= 1500);
  assert_int_equal (json_integer_value (json_object_get (row, "memory_bytes")), 1000);
  assert_int_equal (json_integer_value (json_object_get (row, "reckoned_bytes")),
                    268435456 + 524289 + (210 + 8 + 8 + 16) * 1048576);
  json_decref (got);
  free (answer);
  expect_error (w, "top", "{\"name\":\"b\"}", HV_E_NOT_FOUND, "VirtualMachineInstance 'default/b'");
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (a_manifest_becomes_a_running_machine),
    TEST (deleting_leaves_nothing_but_the_claim),
    TEST (a_file_that_was_there_is_not_ours_to_delete),
    TEST (a_claim_without_a_size_is_refused),
    TEST (dry_run_changes_nothing),
    TEST (applying_again_says_what_changed),
    TEST (stop_and_start_follow_the_strategy),
    TEST (what_moved_away_is_not_started_again),
    TEST (manual_starts_by_hand_and_stays_down),
    TEST (rerun_on_failure_reruns_on_failure_only),
    TEST (always_comes_back),
    TEST (an_instance_on_its_own_runs_once),
    TEST (an_instance_on_its_own_is_stopped_and_started),
    TEST (once_is_once),
    TEST (a_failed_start_is_tried_again),
    TEST (a_start_that_fails_for_good_says_why),
    TEST (the_agent_is_asked_until_it_answers),
    TEST (cards_are_connected_before_a_start_and_after_a_run_no_longer),
    TEST (the_agent_knows_more_addresses),
    TEST (a_start_without_its_network_is_tried_again),
    TEST (pause_and_unpause),
    TEST (sessions_are_the_backends),
    TEST (a_restart_of_the_plugin_changes_nothing),
    TEST (what_ended_meanwhile_is_noticed),
    TEST (a_machine_that_runs_is_adopted_not_started_again),
    TEST (an_unreachable_machine_is_left_alone),
    TEST (a_backend_that_is_down_is_no_news_about_vms),
    TEST (a_deletion_goes_on_after_a_restart),
    TEST (no_grace_means_at_once),
    TEST (overlays_of_nobody_are_swept),
    TEST (an_image_with_a_base_of_its_own_is_refused),
    TEST (events_tell_of_changes),
    TEST (descriptions_have_events),
    TEST (unpausing_sets_the_clock),
    TEST (a_start_may_be_paused),
    TEST (an_io_error_is_tried_again),
    TEST (overhead_is_kubevirts),
    TEST (a_vm_without_memory_waits),
    TEST (top_shows_what_is_used),
    TEST (waiting_is_particular_about_words),
    TEST (a_damaged_record_is_shown_and_can_be_replaced),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
