/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hvkit/inspect.h>
#include <hvkit/tool.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK           "/proc/self/fd/3"
#define MIB            (1ull << 20)
#define PARTITIONS_MAX 256u
#define ROUNDS_MAX     64u /* a chain of logical partitions shows its next link each time */

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* Both ends of a range have what there is to look for: superblocks, boot records, the table's copy. */
static int
fill_ends (const struct hv_inspect *i, uint64_t offset, uint64_t n, struct hv_err *err)
{
  if (i->fill == NULL || offset >= i->size_bytes)
    return 0;
  if (n > i->size_bytes - offset)
    n = i->size_bytes - offset;
  uint64_t first = n < 2 * MIB ? n : 2 * MIB, last = n - first < MIB ? n - first : MIB;
  int r = i->fill (i->arg, offset, first, err);
  return r == 0 && last > 0 ? i->fill (i->arg, offset + n - last, last, err) : r;
}

static int
run (const struct hv_inspect *i, const char *program, const char *const *args, struct hv_tool_result *ret, struct hv_err *err)
{
  const int32_t fds[] = { i->fd };
  const struct hv_tool t = { i->host, i->call, program, args, fds, 1, NULL };
  return hv_tool_run (&t, ret, err);
}

/* --- what sfdisk says --- */

/* Bytes of one character of UTF-8 that may be shown; 0: these are none. */
static size_t
character (const unsigned char *s)
{
  size_t n = s[0] < 0x80                   ? 1
             : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
             : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
             : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                           : 0;
  if (n == 1)
    return s[0] >= 0x20 && s[0] != 0x7f;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  int odd = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90)
            || (s[0] == 0xf4 && s[1] >= 0x90);
  return odd ? 0 : n;
}

/* A guest's words, for people: what cannot be shown is '?', and what blkid has put a backslash before is itself. */
static void
make_shown (char *text)
{
  unsigned char *to = (unsigned char *) text;
  for (const unsigned char *s = to; *s != '\0';) {
    s += *s == '\\' && s[1] != '\0';
    size_t n = character (s);
    if (n == 0)
      *to++ = '?';
    for (size_t i = 0; i < n; i++)
      *to++ = s[i];
    s += n > 0 ? n : 1;
  }
  *to = '\0';
}

/* "NAME: value" or "NAME=value": a copy of the value without quotes and spaces around it, NULL where it is not there. `until`: what
 * ends it. */
static char *
value_of (struct hv_host *h, const char *text, const char *name, const char *until)
{
  const char *at = strstr (text, name);
  if (at == NULL)
    return NULL;
  at += strlen (name);
  at += strspn (at, " \t\"");
  size_t n = strcspn (at, until);
  while (n > 0 && strchr (" \t\"", at[n - 1]) != NULL)
    n--;
  char *copy = hv_printf (h, "%.*s", (int) n, at);
  if (copy != NULL)
    make_shown (copy);
  return copy;
}

static uint64_t
number_of (struct hv_host *h, const char *text, const char *name)
{
  char *value = value_of (h, text, name, ",\n");
  return value != NULL ? strtoull (value, NULL, 10) : 0;
}

static const char *
type_name (const char *type)
{
  static const char *const names[][2] = {
    { "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EFI System" },
    { "21686148-6449-6E6F-744E-656564454649", "BIOS boot" },
    { "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "Linux filesystem" },
    { "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "Linux root (x86-64)" },
    { "B921B045-1DF0-41C3-AF44-4C6F280D3FAE", "Linux root (ARM-64)" },
    { "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "Linux swap" },
    { "E6D6D379-F507-44C2-A23C-238F2A3DF928", "Linux LVM" },
    { "A19D880F-05FC-4D3B-A006-743F0F84911E", "Linux RAID" },
    { "BC13C2FF-59E6-4262-A352-B275FD6F7172", "Linux extended boot" },
    { "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "Microsoft basic data" },
    { "E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "Microsoft reserved" },
    { "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC", "Windows recovery environment" },
    { "83", "Linux" },
    { "82", "Linux swap / Solaris" },
    { "8e", "Linux LVM" },
    { "fd", "Linux raid autodetect" },
    { "5", "Extended" },
    { "f", "W95 Ext'd (LBA)" },
    { "85", "Linux extended" },
    { "7", "HPFS/NTFS/exFAT" },
    { "b", "W95 FAT32" },
    { "c", "W95 FAT32 (LBA)" },
    { "e", "W95 FAT16 (LBA)" },
    { "6", "FAT16" },
    { "ef", "EFI (FAT-12/16/32)" },
    { "ee", "GPT" },
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcasecmp (names[i][0], type) == 0)
      return names[i][1];
  return NULL;
}

/* One line: "/proc/self/fd/3p2 : start=  4096, size=  8192, type=83, bootable". */
static int
take_partition (const struct hv_inspect *i, const char *line, uint64_t sector, struct hv_disk_partition *p)
{
  struct hv_host *h = i->host;
  char *type = value_of (h, line, "type=", ",\n"), *uuid = value_of (h, line, "uuid=", ",\n"),
       *name = value_of (h, line, "name=\"", "\"\n");
  uint64_t start = number_of (h, line, "start="), size = number_of (h, line, "size="), start_bytes, size_bytes;
  if (type == NULL || __builtin_mul_overflow (start, sector, &start_bytes) || __builtin_mul_overflow (size, sector, &size_bytes))
    return -1;
  *p = (struct hv_disk_partition){ 0 };
  HV_SET (p, number, (uint32_t) strtoul (line + strlen (DISK "p"), NULL, 10));
  HV_SET (p, start_bytes, start_bytes);
  HV_SET (p, size_bytes, size_bytes);
  HV_SET (p, type, type);
  if (type_name (type) != NULL)
    HV_SET (p, type_name, type_name (type));
  if (uuid != NULL)
    HV_SET (p, uuid, uuid);
  if (name != NULL)
    HV_SET (p, name, name);
  HV_SET (p, bootable, strstr (line, ", bootable") != NULL || strstr (line, "LegacyBIOSBootable") != NULL);
  return 0;
}

static int
take_table (const struct hv_inspect *i, const char *text, struct hv_disk_inspect_result *ret, struct hv_err *err)
{
  struct hv_host *h = i->host;
  char *label = value_of (h, text, "label:", "\n"), *id = value_of (h, text, "label-id:", "\n");
  uint64_t sector = number_of (h, text, "sector-size:");
  ret->table = label == NULL                ? HV_PARTITION_TABLE_NONE
               : strcmp (label, "gpt") == 0 ? HV_PARTITION_TABLE_GPT
                                            : HV_PARTITION_TABLE_MBR;
  ret->partitions.items = hv_alloc (h, PARTITIONS_MAX * sizeof *ret->partitions.items);
  ret->partitions.count = 0;
  if (ret->partitions.items == NULL)
    return no_memory (err);
  if (label == NULL)
    return 0;
  if (id != NULL)
    HV_SET (ret, disk_id, id);
  if (sector == 0)
    sector = 512;
  HV_SET (ret, sector_size_bytes, (uint32_t) sector);
  for (const char *line = strstr (text, "\n" DISK "p"); line != NULL && ret->partitions.count < PARTITIONS_MAX;
       line = strstr (line + 1, "\n" DISK "p")) {
    char *one = hv_printf (h, "%.*s", (int) strcspn (line + 1, "\n"), line + 1);
    if (one != NULL && take_partition (i, one, sector, &ret->partitions.items[ret->partitions.count]) == 0)
      ret->partitions.count++;
  }
  return 0;
}

/* Its complaints, a line each. */
static void
take_problems (const struct hv_inspect *i, const char *errors, struct hv_disk_inspect_result *ret)
{
  const char **lines = hv_alloc (i->host, 8 * sizeof *lines);
  uint32_t n = 0;
  for (const char *at = errors; lines != NULL && *at != '\0' && n < 8; at += strcspn (at, "\n") + (at[strcspn (at, "\n")] != '\0'))
    if (strcspn (at, "\n") > 0 && strncmp (at, "sfdisk: " DISK ": does not contain", 20 + strlen (DISK)) != 0)
      if ((lines[n] = value_of (i->host, at, "", "\n")) != NULL)
        n++;
  if (n > 0)
    HV_SET (ret, problems, ((struct hv_strs){ lines, n }));
}

static int
read_table (const struct hv_inspect *i, struct hv_disk_inspect_result *ret, struct hv_err *err)
{
  static const char *const args[] = { "--dump", DISK, NULL };
  uint32_t before = UINT32_MAX;
  int r = fill_ends (i, 0, i->size_bytes, err);
  for (uint32_t round = 0; r == 0 && round < ROUNDS_MAX && before != ret->partitions.count; round++) {
    struct hv_tool_result said = { 0 };
    before = ret->partitions.count;
    r = run (i, i->sfdisk, args, &said, err);
    if (r == 0)
      r = take_table (i, said.status == 0 ? said.out : "", ret, err);
    if (r == 0)
      take_problems (i, said.errors, ret);
    for (uint32_t k = 0; r == 0 && k < ret->partitions.count; k++) {
      r = fill_ends (i, ret->partitions.items[k].start_bytes, ret->partitions.items[k].size_bytes, err);
      if (r == 0) /* the next link of the chain is behind a logical partition */
        r = fill_ends (i, ret->partitions.items[k].start_bytes + ret->partitions.items[k].size_bytes, MIB, err);
    }
    if (i->fill == NULL)
      break;
  }
  return r;
}

/* --- what blkid says --- */

struct found {
  char *type, *label, *uuid;
};

static int
look (const struct hv_inspect *i, uint64_t offset, uint64_t n, struct found *ret, struct hv_err *err)
{
  char at[32], size[32];
  const char *const args[] = { "-p", "-o", "export", "-O", at, "-S", size, DISK, NULL };
  struct hv_tool_result said = { 0 };
  (void) snprintf (at, sizeof at, "%" PRIu64, offset);
  (void) snprintf (size, sizeof size, "%" PRIu64, n);
  int r = run (i, i->blkid, args, &said, err);
  if (r < 0 || said.status != 0) /* 2: nothing that it knows */
    return r;
  char *text = hv_printf (i->host, "\n%s", said.out);
  if (text == NULL)
    return no_memory (err);
  ret->type = value_of (i->host, text, "\nTYPE=", "\n");
  ret->label = value_of (i->host, text, "\nLABEL=", "\n");
  ret->uuid = value_of (i->host, text, "\nUUID=", "\n");
  return 0;
}

static int
read_filesystems (const struct hv_inspect *i, struct hv_disk_inspect_result *ret, struct hv_err *err)
{
  struct found f = { 0 };
  int r = ret->table == HV_PARTITION_TABLE_NONE ? look (i, 0, i->size_bytes, &f, err) : 0;
  if (r == 0 && f.type != NULL)
    HV_SET (ret, filesystem, f.type);
  for (uint32_t k = 0; r == 0 && k < ret->partitions.count; k++) {
    struct hv_disk_partition *p = &ret->partitions.items[k];
    f = (struct found){ 0 };
    if (p->start_bytes >= i->size_bytes || p->size_bytes > i->size_bytes - p->start_bytes || p->size_bytes == 0)
      continue; /* sfdisk has said so */
    r = look (i, p->start_bytes, p->size_bytes, &f, err);
    if (f.type != NULL)
      HV_SET (p, filesystem, f.type);
    if (f.label != NULL)
      HV_SET (p, label, f.label);
    if (f.uuid != NULL)
      HV_SET (p, filesystem_uuid, f.uuid);
  }
  return r;
}

int
hv_inspect_run (const struct hv_inspect *i, struct hv_disk_inspect_result *ret, struct hv_err *err)
{
  HV_SET (ret, virtual_size_bytes, i->size_bytes);
  int r = read_table (i, ret, err);
  ret->has.table = ret->has.partitions = 1;
  return r == 0 ? read_filesystems (i, ret, err) : r;
}
