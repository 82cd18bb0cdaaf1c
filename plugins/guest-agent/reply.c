/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's answers as records. See reply.h. */
#include "reply.h"
#include "json.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Reads an optional text member into the field of the same meaning. */
#define TEXT(j, object, member, record, field) \
  do { \
    const char *text_ = NULL; \
    int rc_ = hv_json_text ((j), (object), (member), &text_); \
    if (rc_ < 0) \
      return rc_; \
    if (rc_ > 0) \
      HV_SET ((record), field, text_); \
  } while (0)

/* A list of strings for a record, empty, with room for count. */
static const char **
strs_new (const struct hv_json *j, uint32_t count)
{
  return hv_json_items (j, count, sizeof (const char *));
}

/* The value itself as a list of objects: what most commands return. */
static int
top_list (const struct hv_json *j, json_t *value, uint32_t *ret_count)
{
  if (!json_is_array (value))
    return hv_json_bad (j, "a list was expected");
  size_t n = json_array_size (value);
  *ret_count = n < HV_REPLY_ITEMS_MAX ? (uint32_t) n : HV_REPLY_ITEMS_MAX;
  return 0;
}

static int
want_object (const struct hv_json *j, json_t *value)
{
  return json_is_object (value) ? 0 : hv_json_bad (j, "an object was expected");
}

/* --- the envelope --- */

static void *
heap_alloc (void *arg, uint64_t size)
{
  void **slot = arg;
  return *slot == NULL ? *slot = calloc (1, size) : NULL;
}

static int
guest_error (json_t *error, struct hv_err *err)
{
  HV_CLEAN (hv_free) void *class_copy = NULL;
  HV_CLEAN (hv_free) void *desc_copy = NULL;
  const struct hv_reply_memory m1 = { heap_alloc, &class_copy }, m2 = { heap_alloc, &desc_copy };
  const char *class = "", *desc = "no reason given";
  int rc = hv_json_text (&(struct hv_json){ &m1, err }, error, "class", &class);
  if (rc >= 0)
    rc = hv_json_text (&(struct hv_json){ &m2, err }, error, "desc", &desc);
  if (rc < 0)
    return rc;
  /* QEMU's agent has one class for commands it lacks and those it was told not to offer; only the text tells them apart */
  int disabled = strstr (desc, "disabled") != NULL || strstr (desc, "not allowed") != NULL;
  int lacking = strcmp (class, "CommandNotFound") == 0 && !disabled;
  rc = hv_err_set (err, lacking ? HV_E_UNIMPLEMENTED : HV_E_FAILED_PRECONDITION, "the guest agent refused: %.512s", desc);
  hv_err_data (err, "reason", lacking ? "command_not_found" : disabled ? "command_disabled" : "guest_error");
  return rc;
}

int
hv_reply_parse (const char *text, uint64_t n, json_t **ret_value, struct hv_err *err)
{
  const struct hv_json j = { NULL, err };
  json_t *reply = hv_json_parse (&j, text, n);
  json_t *value = json_object_get (reply, "return"), *error = json_object_get (reply, "error");
  int rc = 0;
  if (reply == NULL)
    return HV_E_UNAVAILABLE;
  if (json_is_object (error) && value == NULL)
    rc = guest_error (error, err);
  else if (value == NULL)
    rc = hv_json_bad (&j, "it neither returns something nor is an error");
  else
    *ret_value = json_incref (value);
  json_decref (reply);
  return rc;
}

/* --- the commands --- */

int
hv_reply_info (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_info *info = ret;
  json_t *list = NULL;
  uint32_t count = 0, used = 0;
  int rc = want_object (&j, value);
  if (rc == 0)
    rc = hv_json_list (&j, value, "supported_commands", &list, &count);
  if (rc < 0)
    return rc;
  const char **names = strs_new (&j, count);
  if (names == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  HV_SET (info, version, "");
  TEXT (&j, value, "version", info, version);
  for (uint32_t i = 0; i < count; i++) {
    json_t *item = json_array_get (list, i);
    if (!json_is_true (json_object_get (item, "enabled")))
      continue;
    rc = hv_json_text (&j, item, "name", &names[used]);
    if (rc < 0)
      return rc;
    used += rc > 0;
  }
  HV_SET (info, commands, (struct hv_strs){ names, used });
  return 0;
}

int
hv_reply_osinfo (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_osinfo *os = ret;
  int rc = want_object (&j, value);
  if (rc != 0)
    return rc;
  TEXT (&j, value, "id", os, id);
  TEXT (&j, value, "name", os, name);
  TEXT (&j, value, "pretty-name", os, pretty_name);
  TEXT (&j, value, "version", os, version);
  TEXT (&j, value, "version-id", os, version_id);
  TEXT (&j, value, "kernel-release", os, kernel_release);
  TEXT (&j, value, "kernel-version", os, kernel_version);
  TEXT (&j, value, "machine", os, machine);
  return 0;
}

int
hv_reply_hostname (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_hostname *host = ret;
  int rc = want_object (&j, value);
  if (rc != 0)
    return rc;
  HV_SET (host, hostname, "");
  TEXT (&j, value, "host-name", host, hostname);
  return 0;
}

int
hv_reply_timezone (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_timezone *zone = ret;
  json_t *offset = json_object_get (value, "offset");
  int rc = want_object (&j, value);
  if (rc != 0)
    return rc;
  TEXT (&j, value, "zone", zone, zone);
  json_int_t seconds = json_integer_value (offset);
  if (!json_is_integer (offset) || seconds < -86400 || seconds > 86400)
    return hv_json_bad (&j, "the offset from UTC is not one");
  HV_SET (zone, offset_s, seconds);
  return 0;
}

static int
one_user (const struct hv_json *j, json_t *item, struct hv_agent_user *user)
{
  double login = json_number_value (json_object_get (item, "login-time"));
  HV_SET (user, name, "");
  TEXT (j, item, "user", user, name);
  TEXT (j, item, "domain", user, domain);
  if (login > 0 && login < 1e12) /* seconds, with a fraction */
    HV_SET (user, login_ms, (uint64_t) (login * 1000));
  return 0;
}

int
hv_reply_users (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_users *users = ret;
  uint32_t count = 0;
  int rc = top_list (&j, value, &count);
  if (rc != 0)
    return rc;
  users->items.items = hv_json_items (&j, count, sizeof *users->items.items);
  if (users->items.items == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < count && rc == 0; i++)
    rc = one_user (&j, json_array_get (value, i), &users->items.items[i]);
  users->items.count = count;
  users->has.items = 1;
  return rc;
}

/* Hardware addresses that are none (of tunnels, InfiniBand) are left out. */
static int
is_mac (const char *s)
{
  for (unsigned i = 0; i < 17; i++)
    if (i % 3 == 2 ? s[i] != ':' : !isxdigit ((unsigned char) s[i]))
      return 0;
  return s[17] == '\0';
}

/* "10.0.0.1/24", or NULL if the guest's words are not an address. */
static int
one_address (const struct hv_json *j, json_t *item, const char **ret)
{
  const char *text = NULL;
  uint64_t prefix = 0;
  uint8_t binary[16];
  char buf[INET6_ADDRSTRLEN];
  int rc = hv_json_text (j, item, "ip-address", &text);
  if (rc > 0)
    rc = hv_json_number (j, item, "prefix", 128, &prefix);
  if (rc <= 0)
    return rc;
  int family = strchr (text, ':') != NULL ? AF_INET6 : AF_INET;
  if (inet_pton (family, text, binary) != 1 || (family == AF_INET && prefix > 32)
      || inet_ntop (family, binary, buf, sizeof buf) == NULL)
    return 0;
  char *out = j->memory->alloc (j->memory->arg, sizeof buf + 4);
  if (out == NULL)
    return hv_err_set (j->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  snprintf (out, sizeof buf + 4, "%s/%u", buf, (unsigned) prefix);
  *ret = out;
  return 1;
}

static int
one_interface (const struct hv_json *j, json_t *item, struct hv_agent_interface *nic)
{
  const char *mac = NULL;
  json_t *list = NULL;
  uint32_t count = 0, used = 0;
  HV_SET (nic, name, "");
  TEXT (j, item, "name", nic, name);
  int rc = hv_json_text (j, item, "hardware-address", &mac);
  if (rc > 0 && is_mac (mac))
    HV_SET (nic, mac, mac);
  if (rc >= 0)
    rc = hv_json_list (j, item, "ip-addresses", &list, &count);
  if (rc <= 0)
    return rc;
  const char **addresses = strs_new (j, count);
  if (addresses == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < count; i++) {
    rc = one_address (j, json_array_get (list, i), &addresses[used]);
    if (rc < 0)
      return rc;
    used += rc > 0;
  }
  HV_SET (nic, addresses, (struct hv_strs){ addresses, used });
  return 0;
}

int
hv_reply_interfaces (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_interfaces *nics = ret;
  uint32_t count = 0;
  int rc = top_list (&j, value, &count);
  if (rc != 0)
    return rc;
  nics->items.items = hv_json_items (&j, count, sizeof *nics->items.items);
  if (nics->items.items == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < count && rc == 0; i++)
    rc = one_interface (&j, json_array_get (value, i), &nics->items.items[i]);
  nics->items.count = count;
  nics->has.items = 1;
  return rc;
}

static int
one_filesystem (const struct hv_json *j, json_t *item, struct hv_agent_filesystem *fs)
{
  json_t *disks = NULL;
  uint32_t count = 0, used = 0;
  uint64_t n = 0;
  HV_SET (fs, name, "");
  HV_SET (fs, mountpoint, "");
  TEXT (j, item, "name", fs, name);
  TEXT (j, item, "mountpoint", fs, mountpoint);
  TEXT (j, item, "type", fs, type);
  int rc = hv_json_number (j, item, "used-bytes", INT64_MAX, &n);
  if (rc > 0)
    HV_SET (fs, used_bytes, n);
  if (rc >= 0 && (rc = hv_json_number (j, item, "total-bytes", INT64_MAX, &n)) > 0)
    HV_SET (fs, total_bytes, n);
  if (rc >= 0)
    rc = hv_json_list (j, item, "disk", &disks, &count);
  if (rc <= 0)
    return rc;
  const char **serials = strs_new (j, count);
  if (serials == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < count; i++) {
    rc = hv_json_text (j, json_array_get (disks, i), "serial", &serials[used]);
    if (rc < 0)
      return rc;
    used += rc > 0;
  }
  HV_SET (fs, serials, (struct hv_strs){ serials, used });
  return 0;
}

int
hv_reply_filesystems (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_filesystems *all = ret;
  uint32_t count = 0;
  int rc = top_list (&j, value, &count);
  if (rc != 0)
    return rc;
  all->items.items = hv_json_items (&j, count, sizeof *all->items.items);
  if (all->items.items == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < count && rc == 0; i++)
    rc = one_filesystem (&j, json_array_get (value, i), &all->items.items[i]);
  all->items.count = count;
  all->has.items = 1;
  return rc;
}

int
hv_reply_freeze_status (const struct hv_reply_memory *memory, json_t *value, void *ret, struct hv_err *err)
{
  const struct hv_json j = { memory, err };
  struct hv_agent_freeze_status *status = ret;
  const char *word = json_string_value (value);
  int frozen = word != NULL && strcmp (word, "frozen") == 0;
  if (word == NULL || (!frozen && strcmp (word, "thawed") != 0))
    return hv_json_bad (&j, "\"frozen\" or \"thawed\" was expected");
  HV_SET (status, status, frozen ? HV_AGENT_FROZEN : HV_AGENT_THAWED);
  return 0;
}
