/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manifests to objects, defaults and machines, and what is refused on the way. */
#include "../data.h"
#include "../manifest.h"
#include "../spec.h"
#include "../vmi.h"
#include "core/err/err.h"
#include "core/msg/msg.h"
#include "core/schema/schema.h"
#include "host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* after its prerequisites */
#include <cmocka.h>

static const struct vmi_node node = { "node1", "amd64" };

static int
teardown (void **state)
{
  (void) state;
  test_host_reset ();
  return 0;
}

static char *
data (const char *name)
{
  char *path = hv_printf (test_host (), VMI_TEST_DATA "/%s", name), *text = hv_alloc (test_host (), 65536);
  FILE *f = fopen (path, "re");
  assert_non_null (f);
  size_t n = fread (text, 1, 65535, f);
  (void) fclose (f);
  assert_true (n > 0 && n < 65535);
  return text;
}

static char *
replace (const char *text, const char *what, const char *with)
{
  const char *at = strstr (text, what);
  if (at == NULL)
    print_message ("'%s' is not in the text\n", what);
  assert_non_null (at);
  return hv_printf (test_host (), "%.*s%s%s", (int) (at - text), text, with, at + strlen (what));
}

/* Reads and checks; the text of the error, or "". */
static const char *
outcome (const char *text, int *ret_code)
{
  struct vmi_manifest m;
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  int r = vmi_manifest_read (test_host (), text, "default", &m, err);
  for (uint32_t i = 0; r == 0 && i < m.count; i++) {
    struct vmi_object *o = &m.objects[i];
    if (!vmi_object_is_machine (o))
      continue;
    r = vmi_spec_check (&o->vm.spec.template.spec, vmi_object_prefix (o), &o->vm.metadata.annotations, &node, err);
    if (r < 0)
      (void) vmi_manifest_place (&m, o, r, err);
  }
  *ret_code = r;
  return hv_strdup (test_host (), hv_err_message (err));
}

static void
expect_refused (const char *text, int code, const char *want)
{
  int r;
  const char *error = outcome (text, &r);
  if (r != code || strstr (error, want) == NULL)
    print_message ("is: %d %s\nwant: %d %s\n", r, error, code, want);
  assert_int_equal (r, code);
  assert_non_null (strstr (error, want));
}

static void
expect_accepted (const char *text)
{
  int r;
  const char *error = outcome (text, &r);
  if (r != 0)
    print_message ("%s\n", error);
  assert_int_equal (r, 0);
}

/* --- the reference VM --- */

static const char disk_volume[] = "hostDisk:\n          path: /srv/ubuntu20.img\n          type: Disk";
static const char container_volume[]
    = "containerDisk:\n          image: registry.example:5000/virtual-machine-image/ubuntu20:amd64\n          imagePullPolicy: "
      "IfNotPresent";

static char *
reference (void)
{
  return replace (data ("vm.yaml"), container_volume, disk_volume);
}

static void
the_reference_vm_is_accepted (void **state)
{
  (void) state;
  expect_accepted (data ("vm.yaml"));
  expect_accepted (data ("vmi.yaml"));
  expect_accepted (reference ());
  expect_accepted (replace (reference (), disk_volume, container_volume));
  expect_accepted (
      replace (reference (), disk_volume, "containerDisk:\n          image: r.example/a\n          path: /boot/a.img"));
  expect_accepted (replace (reference (), disk_volume, "emptyDisk:\n          capacity: 1Gi"));
  expect_accepted (data ("example.yaml"));
  expect_accepted (data ("bootable.yaml"));
}

static char *
with_network (const char *interfaces, const char *networks)
{
  static char text[4096];
  (void) snprintf (
      text, sizeof text,
      "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n  domain:\n    memory: {guest: "
      "64Mi}\n    devices:\n      disks: [{name: root, bootOrder: 1, disk: {bus: virtio}}]\n      interfaces: [%s]\n"
      "  networks: [%s]\n  volumes: [{name: root, hostDisk: {path: /a, type: Disk}}]\n",
      interfaces, networks);
  return text;
}

static void
networks_have_kubevirts_rules (void **state)
{
  static const char pod[] = "{name: default, pod: {}}";
  static const struct {
    const char *interfaces, *networks;
    int code; /* 0: accepted */
    const char *says;
  } all[] = {
    { "{name: default, bridge: {}}", pod, 0, NULL },
    { "{name: default, masquerade: {}, model: e1000e, macAddress: \"02:00:00:00:00:01\", bootOrder: 2, ports: [{port: 80}, {name: "
      "dns, port: "
      "53, protocol: UDP}], dhcpOptions: {bootFileName: a, tftpServerName: b, ntpServers: [10.0.0.1], privateOptions: [{option: "
      "240, "
      "value: x}]}}",
      pod, 0, NULL },
    { "{name: default, bridge: {}}, {name: lan, bridge: {}}",
      "{name: default, pod: {}}, {name: lan, multus: {networkName: ns/lan}}", 0, NULL },
    { "{name: default}", pod, HV_E_INVALID_ARGUMENT, "interfaces[0]: exactly one of bridge and masquerade" },
    { "{name: default, bridge: {}, masquerade: {}}", pod, HV_E_INVALID_ARGUMENT, "interfaces[0]: exactly one of" },
    { "{name: other, bridge: {}}", pod, HV_E_INVALID_ARGUMENT, "interfaces[0].name: there is no network" },
    { "", pod, HV_E_INVALID_ARGUMENT, "networks[0].name: no interface is on it" },
    { "{name: default, bridge: {}}", "{name: default}", HV_E_INVALID_ARGUMENT, "networks[0]: exactly one of pod and multus" },
    { "{name: default, bridge: {}}, {name: b, bridge: {}}", "{name: default, pod: {}}, {name: b, pod: {}}", HV_E_INVALID_ARGUMENT,
      "networks[1].pod: a pod has one network" },
    { "{name: default, bridge: {}}, {name: default, bridge: {}}", pod, HV_E_INVALID_ARGUMENT,
      "interfaces[1].name: another interface" },
    { "{name: default, bridge: {}}", "{name: default, pod: {}}, {name: default, multus: {networkName: x}}", HV_E_INVALID_ARGUMENT,
      "networks[1].name: another network" },
    { "{name: default, masquerade: {}}", "{name: default, multus: {networkName: x}}", HV_E_INVALID_ARGUMENT,
      "masquerade: only on the pod" },
    { "{name: default, bridge: {}, ports: [{port: 80}]}", pod, HV_E_UNIMPLEMENTED, "interfaces[0].ports: only with masquerade" },
    { "{name: default, bridge: {}, dhcpOptions: {bootFileName: a}}", "{name: default, multus: {networkName: x}}",
      HV_E_UNIMPLEMENTED, "dhcpOptions: only on the pod" },
    { "{name: default, bridge: {}, model: best}", pod, HV_E_INVALID_ARGUMENT, "interfaces[0].model: virtio" },
    { "{name: default, bridge: {}, macAddress: \"01:00:00:00:00:01\"}", pod, HV_E_INVALID_ARGUMENT, "macAddress: a group's" },
    { "{name: default, bridge: {}, macAddress: nonsense}", pod, HV_E_INVALID_ARGUMENT, "macAddress" },
    { "{name: default, bridge: {}, bootOrder: 1}", pod, HV_E_INVALID_ARGUMENT, "interfaces[0].bootOrder: a disk has this place" },
    { "{name: root, bridge: {}}", "{name: root, pod: {}}", HV_E_INVALID_ARGUMENT, "interfaces[0].name: a disk has this name" },
    { "{name: default, masquerade: {}, ports: [{port: 65536}]}", pod, HV_E_INVALID_ARGUMENT, "ports[0].port" },
    { "{name: default, masquerade: {}, ports: [{port: 1, protocol: ICMP}]}", pod, HV_E_INVALID_ARGUMENT, "ports[0].protocol" },
    { "{name: default, bridge: {}, dhcpOptions: {privateOptions: [{option: 240, value: a}, {option: 240, value: b}]}}", pod,
      HV_E_INVALID_ARGUMENT, "privateOptions[1].option: it is there twice" },
    { "{name: default, bridge: {}, dhcpOptions: {privateOptions: [{option: 66, value: a}]}}", pod, HV_E_INVALID_ARGUMENT,
      "option" },
    { "{name: default, sriov: {}}", pod, HV_E_INVALID_ARGUMENT, "sriov" },
    { "{name: default, bridge: {}}", "{name: default, pod: {vmNetworkCIDR: 10.0.0.0/24}}", HV_E_INVALID_ARGUMENT, "vmNetworkCIDR" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].code == 0)
      expect_accepted (with_network (all[i].interfaces, all[i].networks));
    else
      expect_refused (with_network (all[i].interfaces, all[i].networks), all[i].code, all[i].says);
}

/* --- unknown fields --- */

static void
every_unknown_field_is_refused_by_name_and_path (void **state)
{
  static const struct {
    const char *after, *add, *want;
  } fields[] = {
    { "apiVersion: kubevirt.io/v1\n", "extra: 1\n", "unknown key 'extra' in" },
    { "apiVersion: kubevirt.io/v1\n", "_extra: 1\n", "unknown key '_extra'" },
    { "  name: ubuntu-amd\n", "  generateName: x\n", "unknown key 'generateName' in metadata" },
    { "  running: true\n", "  dataVolumeTemplates: []\n", "unknown key 'dataVolumeTemplates' in spec" },
    { "    metadata:\n", "      name: x\n", "unknown key 'name' in spec.template.metadata" },
    { "      architecture: amd64\n", "      subdomain: x\n", "unknown key 'subdomain' in spec.template.spec" },
    { "      architecture: amd64\n", "      tolerations: []\n", "unknown key 'tolerations'" },
    { "          cores: 4\n", "          maxSockets: 4\n", "unknown key 'maxSockets' in spec.template.spec.domain.cpu" },
    { "        cpu:\n", "          dedicatedCpuPlacement: true\n", "unknown key 'dedicatedCpuPlacement'" },
    { "        devices:\n", "          rng: {}\n", "unknown key 'rng' in spec.template.spec.domain.devices" },
    { "          - bootOrder: 1\n", "            tag: x\n", "unknown key 'tag' in spec.template.spec.domain.devices.disks[0]" },
    { "            disk:\n", "              pciAddress: x\n",
      "unknown key 'pciAddress' in spec.template.spec.domain.devices.disks[0].disk" },
    { "            cdrom:\n", "              x: 1\n", "unknown key 'x' in spec.template.spec.domain.devices.disks[1].cdrom" },
    { "        features:\n", "          smm: {}\n", "unknown key 'smm' in spec.template.spec.domain.features" },
    { "        machine:\n", "          tipe: q35\n", "did you mean 'type'?" },
    { "          limits:\n", "            ephemeral-storage: 1\n", "unknown key 'ephemeral-storage'" },
    { "      - name: rootdisk\n", "        downwardAPI: {}\n", "unknown key 'downwardAPI' in spec.template.spec.volumes[0]" },
    { "        persistentVolumeClaim:\n", "          readOnly: true\n", "unknown key 'readOnly'" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    char *with = hv_printf (test_host (), "%s%s", fields[i].after, fields[i].add);
    expect_refused (replace (reference (), fields[i].after, with), HV_E_INVALID_ARGUMENT, fields[i].want);
  }
}

static void
errors_have_their_line (void **state)
{
  (void) state;
  expect_refused ("\n\n# text\n---\napiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata:\n  name: x\nspec:\n  running: 3\n",
                  HV_E_INVALID_ARGUMENT, "manifest: document 1, line 10: spec.running: must be true or false");
}

static void
server_fields_are_ignored (void **state)
{
  (void) state;
  expect_accepted (replace (reference (), "  generation: 2\n", "  generation: {any: [thing, 1]}\n"));
  expect_refused (replace (reference (), "  generation: 2\n", "  deletionTimestamp: null\n"), HV_E_INVALID_ARGUMENT,
                  "unknown key 'deletionTimestamp' in metadata");
}

/* --- values --- */

static void
bad_values_are_refused (void **state)
{
  static const struct {
    const char *what, *with;
    int code;
    const char *want;
  } cases[] = {
    { "kind: VirtualMachine\n", "kind: Pod\n", HV_E_INVALID_ARGUMENT, "line 2: kind: 'Pod' is not known" },
    { "apiVersion: kubevirt.io/v1\n", "apiVersion: kubevirt.io/v9\n", HV_E_INVALID_ARGUMENT, "apiVersion: 'kubevirt.io/v9'" },
    { "  name: ubuntu-amd\n", "  name: ../x\n", HV_E_INVALID_ARGUMENT, "metadata.name" },
    { "  name: ubuntu-amd\n", "  name: a_b\n", HV_E_INVALID_ARGUMENT, "metadata.name" },
    { "  namespace: default\n", "  namespace: A\n", HV_E_INVALID_ARGUMENT, "metadata.namespace" },
    { "  running: true\n", "  running: true\n  runStrategy: Always\n", HV_E_INVALID_ARGUMENT, "spec.running: excludes" },
    { "  running: true\n", "", HV_E_INVALID_ARGUMENT, "spec.runStrategy: required" },
    { "  running: true\n", "  runStrategy: Sometimes\n", HV_E_INVALID_ARGUMENT, "spec.runStrategy" },
    { "architecture: amd64", "architecture: arm64", HV_E_FAILED_PRECONDITION, "spec.template.spec.architecture: 'arm64'" },
    { "kubernetes.io/arch: amd64", "kubernetes.io/arch: arm64", HV_E_FAILED_PRECONDITION,
      "nodeSelector.kubernetes.io/arch: wants 'arm64'" },
    { "kubernetes.io/arch: amd64", "kubernetes.io/hostname: other", HV_E_FAILED_PRECONDITION, "this node has 'node1'" },
    { "kubernetes.io/arch: amd64", "zone: a", HV_E_FAILED_PRECONDITION, "nodeSelector.zone" },
    { "terminationGracePeriodSeconds: 120", "terminationGracePeriodSeconds: -1", HV_E_INVALID_ARGUMENT,
      "terminationGracePeriodSeconds" },
    { "architecture: amd64", "evictionStrategy: LiveMigrate", HV_E_UNIMPLEMENTED, "evictionStrategy" },
    { "type: q35", "type: i440fx", HV_E_INVALID_ARGUMENT, "domain.machine.type" },
    { "apic: {}", "apic: {enabled: false}", HV_E_UNIMPLEMENTED, "features.apic.enabled" },
    { "            memory: 4Gi", "            memory: 4GB", HV_E_INVALID_ARGUMENT, "limits.memory: '4GB' is not a quantity" },
    { "            memory: 4Gi", "            memory: 99999Ei", HV_E_OUT_OF_RANGE, "limits.memory: '99999Ei' is too large" },
    { "            memory: 4Gi", "            memory: 2Gi", HV_E_INVALID_ARGUMENT, "requests.memory: more than the limit" },
    { "cpu: \"4\"\n            memory", "cpu: 3500m\n            memory", HV_E_INVALID_ARGUMENT,
      "requests.cpu: more than the limit" },
    { "cores: 4", "cores: 513", HV_E_INVALID_ARGUMENT, "cpu.cores" },
    { "cores: 4", "cores: 512\n          threads: 2\n          sockets: 1", HV_E_INVALID_ARGUMENT, "is there twice" },
    { "bus: virtio", "bus: ide", HV_E_INVALID_ARGUMENT, "disks[0].disk.bus" },
    { "bootOrder: 2", "bootOrder: 1", HV_E_INVALID_ARGUMENT, "disks[1].bootOrder: another disk" },
    { "bootOrder: 2", "bootOrder: 0", HV_E_INVALID_ARGUMENT, "disks[1].bootOrder" },
    { "cdrom:\n              bus: sata", "cdrom:\n              tray: open", HV_E_UNIMPLEMENTED, "cdrom.tray" },
    { "cdrom:\n              bus: sata", "cdrom:\n              readonly: false", HV_E_UNIMPLEMENTED, "cdrom.readonly" },
    { "cdrom:\n              bus: sata", "disk: {}\n            cdrom: {}", HV_E_INVALID_ARGUMENT, "disks[1].cdrom: it is a disk" },
    { "name: rootdisk\n        persistent", "name: other\n        persistent", HV_E_INVALID_ARGUMENT,
      "disks[0].name: there is no volume" },
    { "claimName: ubuntu-amd-sys-disk", "claimName: ../../etc", HV_E_INVALID_ARGUMENT, "claimName" },
    { "path: /srv/ubuntu20.img", "path: srv", HV_E_INVALID_ARGUMENT, "volumes[1].hostDisk.path" },
    { "type: Disk", "type: DiskOrCreate", HV_E_INVALID_ARGUMENT, "volumes[1].hostDisk.capacity: required" },
    { "type: Disk", "type: DiskOrCreate\n          capacity: 1k", HV_E_INVALID_ARGUMENT,
      "hostDisk.capacity: must be at least 1Mi" },
    { "type: Disk", "type: Disk\n        ephemeral: {persistentVolumeClaim: {claimName: x}}", HV_E_INVALID_ARGUMENT,
      "volumes[1]: give one of" },
    { disk_volume, "containerDisk:\n          image: r.example/a\n          path: disk/a.img", HV_E_INVALID_ARGUMENT,
      "volumes[1].containerDisk.path: an absolute path" },
    { disk_volume, "containerDisk:\n          image: r.example/a\n          path: /disk/../etc/passwd", HV_E_INVALID_ARGUMENT,
      "volumes[1].containerDisk.path: an absolute path" },
    { disk_volume, "containerDisk:\n          image: r.example/a\n          imagePullPolicy: Sometimes", HV_E_INVALID_ARGUMENT,
      "imagePullPolicy" },
    { disk_volume, "containerDisk:\n          image: r.example/a\n          imagePullSecret: S!", HV_E_INVALID_ARGUMENT,
      "imagePullSecret" },
    { disk_volume, "emptyDisk:\n          capacity: 1k", HV_E_INVALID_ARGUMENT,
      "volumes[1].emptyDisk.capacity: must be at least 1Mi" },
    { "type: tablet", "type: mouse", HV_E_INVALID_ARGUMENT, "inputs[0].type" },
    { "    os: Linux\n", "    hvkit.io/other: x\n", HV_E_INVALID_ARGUMENT, "metadata.annotations.hvkit.io/other: not known" },
    { "    os: Linux\n", "    hvkit.io/volume-format.none: raw\n", HV_E_INVALID_ARGUMENT, "there is no volume of this name" },
    { "    os: Linux\n", "    hvkit.io/volume-format.rootdisk: vmdk\n", HV_E_INVALID_ARGUMENT, "raw or qcow2" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    expect_refused (replace (reference (), cases[i].what, cases[i].with), cases[i].code, cases[i].want);
}

static void
one_object_is_there_once (void **state)
{
  (void) state;
  char *two = hv_printf (test_host (), "%s\n---\n%s", reference (), reference ());
  expect_refused (two, HV_E_INVALID_ARGUMENT, "documents 1 and 2 are the same VirtualMachine 'default/ubuntu-amd'");
  expect_refused ("# nothing\n", HV_E_INVALID_ARGUMENT, "there is no object in it");
  expect_refused ("[1]", HV_E_INVALID_ARGUMENT, "an object must be a map");
}

/* --- defaults and the machine --- */

static char *
json_of (const struct hv_record *rec, const void *value)
{
  struct hv_bin b;
  assert_int_equal (test_host ()->api->encode (test_host (), rec, value, &b, NULL), 0);
  char *json = hv_pack_to_json (b, 0);
  assert_non_null (json);
  return json;
}

static struct vmi_object *
object (const char *text, uint32_t index)
{
  struct vmi_manifest m;
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  if (vmi_manifest_read (test_host (), text, "default", &m, err) < 0)
    fail_msg ("%s", hv_err_message (err));
  assert_true (index < m.count);
  return &m.objects[index];
}

static void
defaults_are_kubevirts (void **state)
{
  struct vmi_object *o = object (reference (), 0);
  (void) state;
  assert_int_equal (vmi_spec_defaults (test_host (), &o->vm.spec.template.spec, &node, o->name, NULL), 0);
  char *json = json_of (&vmi_spec_record, &o->vm.spec.template.spec);
  static const char *const parts[] = {
    "\"model\":\"host-model\"",
    "\"uuid\":\"d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3\"",
    "{\"name\":\"containerdisk\",\"bootOrder\":2,\"cdrom\":{\"bus\":\"sata\",\"readonly\":true,\"tray\":\"closed\"}}",
    "\"acpi\":{\"enabled\":true}",
    "\"apic\":{\"enabled\":true}",
    "\"evictionStrategy\":\"None\"",
    "\"terminationGracePeriodSeconds\":120",
    "\"cores\":4,\"sockets\":1,\"threads\":1",
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (strstr (json, parts[i]) == NULL)
      print_message ("%s\nis not in %s\n", parts[i], json);
    assert_non_null (strstr (json, parts[i]));
  }
  assert_string_equal (vmi_spec_qos (&o->vm.spec.template.spec), "Guaranteed");
  free (json);
}

/* Nothing said of networks: the pod's, bridged. */
static void
a_vm_is_on_its_pods_network (void **state)
{
  struct vmi_object *o = object (reference (), 0);
  struct vmi_spec *s = &o->vm.spec.template.spec;
  (void) state;
  assert_int_equal (vmi_spec_defaults (test_host (), s, &node, NULL, NULL), 0);
  assert_int_equal (s->networks.count, 1);
  assert_true (HV_HAS (&s->networks.items[0], pod));
  assert_true (HV_HAS (&s->domain.devices.interfaces.items[0], bridge));
  assert_string_equal (s->domain.devices.interfaces.items[0].name, "default");
  o = object (replace (reference (), "        devices:\n", "        devices:\n          autoattachPodInterface: false\n"), 0);
  s = &o->vm.spec.template.spec;
  assert_int_equal (vmi_spec_defaults (test_host (), s, &node, NULL, NULL), 0);
  assert_int_equal (s->networks.count, 0);
  assert_int_equal (s->domain.devices.interfaces.count, 0);
}

static void
small_specs_get_whole_machines (void **state)
{
  static const char text[] = "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n  domain:\n"
                             "    resources: {limits: {cpu: 2500m, memory: 1Gi}}\n    devices: {autoattachPodInterface: false}\n"
                             "  volumes:\n  - name: v\n    hostDisk: {path: /a, type: Disk}\n";
  struct vmi_object *o = object (text, 0);
  struct vmi_spec *s = &o->vm.spec.template.spec;
  (void) state;
  expect_accepted (text);
  assert_int_equal (vmi_spec_defaults (test_host (), s, &node, NULL, NULL), 0);
  assert_int_equal (s->domain.cpu.sockets, 3);
  assert_int_equal (s->domain.cpu.cores, 1);
  assert_int_equal (s->terminationGracePeriodSeconds, 30);
  assert_int_equal (s->domain.devices.disks.count, 1);
  assert_string_equal (s->domain.devices.disks.items[0].name, "v");
  assert_int_equal (s->domain.devices.disks.items[0].disk.bus, HV_BUS_SATA);
  assert_string_equal (s->domain.resources.requests.memory, "1Gi");
  assert_string_equal (s->domain.machine.type, "q35");
  assert_int_equal (strlen (s->domain.firmware.uuid), 36);
}

static void
a_machine_is_what_the_spec_says (void **state)
{
  struct vmi_object *o = object (data ("bootable.yaml"), 1);
  struct vmi_spec *s = &o->vm.spec.template.spec;
  struct vmi_volume_plan *plans;
  struct hv_machine m;
  char targets[4][VMI_TARGET_TEXT];
  (void) state;
  assert_int_equal (vmi_spec_defaults (test_host (), s, &node, NULL, NULL), 0);
  assert_int_equal (vmi_spec_volumes (test_host (), "/state", o->namespace_, o->name, s, &o->vm.metadata.annotations, &plans, NULL),
                    0);
  assert_int_equal (vmi_spec_machine (test_host (), "lab_one", s, plans, &(struct vmi_boot_files){ NULL, NULL }, &m, NULL), 0);
  char *json = json_of (&hv_machine_record, &m);
  assert_string_equal (
      json,
      "{\"name\":\"lab_one\",\"uuid\":\"0a1b2c3d-0000-4000-8000-000000000001\",\"arch\":\"amd64\",\"machine\":\"q35\","
      "\"cpu\":{\"model\":\"host-model\",\"sockets\":2,\"cores\":1,\"threads\":1},\"memory_bytes\":1000000000,\"acpi\":true,"
      "\"disks\":["
      "{\"name\":\"root\",\"path\":\"/state/overlays/lab_one/root.qcow2\",\"format\":\"qcow2\",\"backing\":["
      "{\"path\":\"/state/volumes/lab/base/"
      "disk.img\",\"format\":\"qcow2\"}],\"bus\":\"virtio\",\"media\":\"disk\",\"read_only\":false,"
      "\"serial\":\"s1\",\"cache\":\"none\",\"on_error\":\"report\"},"
      "{\"name\":\"iso\",\"path\":\"/srv/"
      "a.iso\",\"format\":\"raw\",\"bus\":\"sata\",\"media\":\"cdrom\",\"read_only\":true,\"cache\":\"auto\","
      "\"on_error\":\"stop\"},"
      "{\"name\":\"data\",\"path\":\"/state/volumes/lab/data/disk.img\",\"format\":\"raw\",\"bus\":\"scsi\",\"media\":\"disk\","
      "\"read_only\":true,\"cache\":\"auto\",\"on_error\":\"stop\"},"
      "{\"name\":\"new\",\"path\":\"/srv/"
      "new.img\",\"format\":\"raw\",\"bus\":\"sata\",\"media\":\"disk\",\"read_only\":false,\"cache\":\"auto\","
      "\"on_error\":\"stop\"}],\"inputs\":[{\"name\":\"t\",\"type\":\"tablet\",\"bus\":\"usb\"}],\"serial\":true,\"graphics\":"
      "false,"
      "\"balloon\":true,\"agent\":true,\"smbios\":{\"manufacturer\":\"KubeVirt\",\"product\":\"None\",\"family\":\"KubeVirt\"}}");
  free (json);
  assert_int_equal (plans[2].create_bytes, 1073741824);
  vmi_spec_targets (s, targets);
  assert_string_equal (targets[0], "vda");
  assert_string_equal (targets[1], "sda");
  assert_string_equal (targets[2], "sdb");
}

static void
targets_go_on_after_z (void **state)
{
  struct vmi_disk disks[64] = { 0 };
  struct vmi_spec s = { 0 };
  char targets[64][VMI_TARGET_TEXT];
  (void) state;
  s.domain.devices.disks.items = disks;
  s.domain.devices.disks.count = 64;
  vmi_spec_targets (&s, targets);
  assert_string_equal (targets[25], "vdz");
  assert_string_equal (targets[26], "vdaa");
  assert_string_equal (targets[53], "vdbb");
}

/* --- Secrets, ConfigMaps, and what names them --- */

static const char secret_text[] = "apiVersion: v1\nkind: Secret\nmetadata: {name: registry.example.com}\n";

static struct vmi_object *
secret (const char *more)
{
  return object (hv_printf (test_host (), "%s%s", secret_text, more), 0);
}

static void
a_secret_is_kept_in_base64 (void **state)
{
  struct vmi_values values;
  (void) state;
  struct vmi_secret *s = &secret ("stringData: {a: new, b: xyz}\ndata:\n  a: b2xk\n  c: |\n    aGVs\n    bG8=\n")->secret;
  assert_string_equal (s->type, "Opaque");
  assert_int_equal (s->stringData.count, 0);
  assert_int_equal (vmi_secret_values (test_host (), s, &values, NULL), 0);
  assert_int_equal (values.count, 3);
  const struct vmi_value *a = vmi_value_find (&values, "a"), *c = vmi_value_find (&values, "c");
  assert_non_null (a);
  assert_non_null (c);
  assert_int_equal (a->bytes.size, 3);
  assert_memory_equal (a->bytes.data, "new", 3);
  assert_int_equal (c->bytes.size, 5);
  assert_memory_equal (c->bytes.data, "hello", 5);
  assert_null (vmi_value_find (&values, "d"));
}

static void
bad_secrets_are_refused (void **state)
{
  static const struct {
    const char *more, *want;
  } bad[] = {
    { "data: {a: b2x}\n", "line 4: data.a: it is not base64" },
    { "data: {a: \"b2=k\"}\n", "data.a: it is not base64" },
    { "data: {a: \"b-==\"}\n", "data.a: it is not base64" },
    { "data: {\"../a\": \"\"}\n", "a key is letters" },
    { "stringData: {\"a=b\": \"\"}\n", "a key is letters" },
    { "stringData: {\"..\": \"\"}\n", "a key is letters" },
    { "type: kubernetes.io/dockerconfigjson\n", "data..dockerconfigjson: required by the type" },
    { "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: \"{\"}\n", "it is not the JSON of a docker" },
    { "type: kubernetes.io/dockercfg\nstringData: {.dockercfg: \"[]\"}\n", "it is not the JSON of a docker" },
    { "secret: 1\n", "unknown key 'secret'" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    expect_refused (hv_printf (test_host (), "%s%s", secret_text, bad[i].more), HV_E_INVALID_ARGUMENT, bad[i].want);
  expect_accepted (
      hv_printf (test_host (), "%stype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: \"{}\"}\n", secret_text));
  expect_refused ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: x}\nbinaryData: {a: eA==}\n",
                  HV_E_INVALID_ARGUMENT, "binaryData.a: data has this key too");
  expect_refused (
      "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a.b}\nspec: {resources: {requests: {storage: 1Gi}}}\n",
      HV_E_INVALID_ARGUMENT, "metadata.name: 'a.b' is not a name");
}

/* What base64 says goes there and back, whatever its length. */
static void
base64_goes_there_and_back (void **state)
{
  uint8_t bytes[64];
  struct hv_bin back;
  (void) state;
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t) (i * 37);
  for (size_t n = 0; n <= sizeof bytes; n++) {
    char *text = vmi_base64_encode (test_host (), (struct hv_bin){ bytes, n });
    assert_int_equal (vmi_base64_decode (test_host (), text, &back, NULL), 0);
    assert_int_equal (back.size, n);
    assert_memory_equal (back.data, bytes, n);
  }
}

static char *
with_volume (const char *volume)
{
  return hv_printf (test_host (),
                    "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec:\n  domain:\n"
                    "    memory: {guest: 64Mi}\n    devices: {autoattachPodInterface: false}\n  volumes:\n  - name: v\n    %s\n",
                    volume);
}

static void
volumes_made_of_texts (void **state)
{
  static const struct {
    const char *volume, *want;
  } bad[] = {
    { "cloudInitNoCloud: {}", "spec.volumes[0].cloudInitNoCloud: give userData, networkData, or both" },
    { "cloudInitNoCloud: {userData: a, secretRef: {name: b}}", "give one of userData, userDataBase64, secretRef" },
    { "cloudInitConfigDrive: {networkDataBase64: a, networkData: b}", "give one of networkData" },
    { "cloudInitConfigDrive: {userDataBase64: \"!\"}", "cloudInitConfigDrive.userDataBase64: it is not base64" },
    { "cloudInitNoCloud: {userData: a}\n  - name: w\n    cloudInitConfigDrive: {userData: a}", "spec.volumes[1]: another volume" },
    { "configMap: {name: a, volumeLabel: \"\\u00e9\"}", "configMap.volumeLabel: only printable" },
    { "sysprep: {}", "spec.volumes[0].sysprep: give one of" },
    { "sysprep: {secret: {name: a}, configMap: {name: b}}", "give one of" },
    { "secret: {secretName: A}", "secret.secretName" },
    { "secret: {secretName: a}\n    emptyDisk: {capacity: 1Gi}", "give one of" },
  };
  struct vmi_reference *refs;
  uint32_t n = 0;
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    expect_refused (with_volume (bad[i].volume), HV_E_INVALID_ARGUMENT, bad[i].want);
  const char *text = with_volume ("cloudInitNoCloud: {secretRef: {name: u}, networkDataSecretRef: {name: n}}\n"
                                  "  - name: s\n    secret: {secretName: s, optional: true}\n"
                                  "  - name: m\n    sysprep: {configMap: {name: m}}\n"
                                  "  - name: d\n    containerDisk: {image: r.example/a, imagePullSecret: p}");
  expect_accepted (text);
  struct vmi_object *o = object (text, 0);
  assert_int_equal (vmi_spec_references (test_host (), &o->vm.spec.template.spec, &refs, &n, NULL), 0);
  assert_int_equal (n, 5);
  assert_string_equal (refs[1].path, "volumes[0].cloudInitNoCloud.networkDataSecretRef.name");
  assert_true (refs[2].optional);
  assert_int_equal (refs[3].kind, VMI_KIND_CONFIG_MAP);
  assert_string_equal (refs[4].name, "p");
}

static void
a_kernel_is_started_from_an_image (void **state)
{
  static const struct {
    const char *boot, *want;
  } bad[] = {
    { "{kernelArgs: a}", "spec.domain.firmware.kernelBoot.container: required" },
    { "{container: {image: a}}", "kernelBoot.container.kernelPath: required" },
    { "{container: {image: a, kernelPath: aa}}", "kernelPath: an absolute path" },
    { "{container: {image: a, kernelPath: /a, initrdPath: /../a}}", "initrdPath: an absolute path" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    expect_refused (replace (with_volume ("emptyDisk: {capacity: 1Gi}"),
                             "    memory:", hv_printf (test_host (), "    firmware: {kernelBoot: %s}\n    memory:", bad[i].boot)),
                    HV_E_INVALID_ARGUMENT, bad[i].want);
  struct vmi_object *o = object (replace (with_volume ("emptyDisk: {capacity: 1Gi}"), "    memory:",
                                          "    firmware: {kernelBoot: {kernelArgs: quiet, container: {image: \"a:1\", "
                                          "kernelPath: /boot/k, initrdPath: /boot/i}}}\n    memory:"),
                                 0);
  struct vmi_spec *s = &o->vm.spec.template.spec;
  struct vmi_volume_plan *plans;
  struct hv_machine m;
  assert_int_equal (vmi_spec_defaults (test_host (), s, &node, NULL, NULL), 0);
  assert_int_equal (s->domain.firmware.kernelBoot.container.imagePullPolicy, VMI_PULL_IF_NOT_PRESENT);
  assert_int_equal (vmi_spec_volumes (test_host (), "/state", o->namespace_, o->name, s, &o->vm.metadata.annotations, &plans, NULL),
                    0);
  const struct vmi_boot_files files = { "/cache/k", "/cache/i" };
  assert_int_equal (vmi_spec_machine (test_host (), "lab_one", s, plans, &files, &m, NULL), 0);
  assert_string_equal (m.kernel.kernel, "/cache/k");
  assert_string_equal (m.kernel.initrd, "/cache/i");
  assert_string_equal (m.kernel.cmdline, "quiet");
}

/* --- diff --- */

static struct hv_bin
packed (const char *json)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  assert_int_equal (hv_json_to_pack (json, strlen (json), &p, NULL), 0);
  uint8_t *copy = hv_alloc (test_host (), p.size);
  memcpy (copy, p.data, p.size);
  return (struct hv_bin){ copy, p.size };
}

static void
differences_have_paths (void **state)
{
  (void) state;
  struct hv_bin a = packed ("{\"a\": 1, \"b\": {\"c\": [1, 2, {\"d\": 1}]}, \"e\": 1}");
  assert_null (vmi_diff (test_host (), a, a));
  assert_null (vmi_diff (test_host (), a, packed ("{\"e\": 1, \"b\": {\"c\": [1, 2, {\"d\": 1}]}, \"a\": 1}")));
  assert_string_equal (vmi_diff (test_host (), a, packed ("{\"a\": 2, \"b\": {\"c\": [1, 2, {\"d\": 3}, 4]}, \"f\": 1}")),
                       "a, b.c[2].d, b.c[3], e, f");
  assert_string_equal (vmi_diff (test_host (), a, packed ("{\"a\": \"1\", \"b\": [], \"e\": 1}")), "a, b");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown (the_reference_vm_is_accepted, teardown),
    cmocka_unit_test_teardown (networks_have_kubevirts_rules, teardown),
    cmocka_unit_test_teardown (every_unknown_field_is_refused_by_name_and_path, teardown),
    cmocka_unit_test_teardown (errors_have_their_line, teardown),
    cmocka_unit_test_teardown (server_fields_are_ignored, teardown),
    cmocka_unit_test_teardown (bad_values_are_refused, teardown),
    cmocka_unit_test_teardown (one_object_is_there_once, teardown),
    cmocka_unit_test_teardown (defaults_are_kubevirts, teardown),
    cmocka_unit_test_teardown (a_vm_is_on_its_pods_network, teardown),
    cmocka_unit_test_teardown (small_specs_get_whole_machines, teardown),
    cmocka_unit_test_teardown (a_machine_is_what_the_spec_says, teardown),
    cmocka_unit_test_teardown (targets_go_on_after_z, teardown),
    cmocka_unit_test_teardown (a_secret_is_kept_in_base64, teardown),
    cmocka_unit_test_teardown (bad_secrets_are_refused, teardown),
    cmocka_unit_test_teardown (base64_goes_there_and_back, teardown),
    cmocka_unit_test_teardown (volumes_made_of_texts, teardown),
    cmocka_unit_test_teardown (a_kernel_is_started_from_an_image, teardown),
    cmocka_unit_test_teardown (differences_have_paths, teardown),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
