/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dhcp.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what may be said --- */

static int
is_ipv4 (const char *s)
{
  struct in_addr a;
  return inet_pton (AF_INET, s, &a) == 1;
}

static int
is_ip (const char *s)
{
  struct in6_addr a;
  return is_ipv4 (s) || inet_pton (AF_INET6, s, &a) == 1;
}

static int
is_domain (const char *s)
{
  size_t n = strlen (s);
  return n >= 1 && n <= 253 && strspn (s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == n && s[0] != '.'
         && s[0] != '-';
}

/* A comma ends a value to dnsmasq, a line break an argument to us. */
static int
is_plain (const char *s)
{
  for (; *s != '\0'; s++)
    if (*s <= ' ' || *s > '~' || *s == ',' || *s == '"' || *s == '\\')
      return 0;
  return 1;
}

static int
check_list (const struct hv_strs *list, int (*good) (const char *), const char *field, const char *what, struct hv_err *err)
{
  for (uint32_t i = 0; i < list->count; i++)
    if (!good (list->items[i]))
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "%s: '%.60s' is not %s", field, list->items[i], what);
  return 0;
}

static int
check_options (const struct hv_map *options, struct hv_err *err)
{
  for (uint32_t i = 0; i < options->count; i++) {
    const struct hv_pair *p = &options->items[i];
    char *end = NULL;
    unsigned long n = strtoul (p->key, &end, 10);
    if (*end != '\0' || n < 224 || n > 254)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "options: '%.32s' is no private option, 224 to 254", p->key);
    if (!is_plain (p->value) || strlen (p->value) > 253)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT,
                         "options: %s: only printable ASCII, without spaces, commas, quotes and backslashes", p->key);
  }
  return 0;
}

int
nb_dhcp_check (const struct hv_net_attach_args *a, struct hv_err *err)
{
  int r = check_list (&a->nameservers, is_ip, "nameservers", "an IP address", err);
  if (r == 0)
    r = check_list (&a->ntp, is_ipv4, "ntp", "an IPv4 address", err);
  if (r == 0)
    r = check_list (&a->search, is_domain, "search", "a domain", err);
  if (r == 0 && HV_HAS (a, domain) && !is_domain (a->domain))
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "domain: '%.60s' is not a domain", a->domain);
  if (r == 0 && HV_HAS (a, bootfile) && !is_plain (a->bootfile))
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "bootfile: only printable ASCII, without spaces, commas, quotes and backslashes");
  if (r == 0 && HV_HAS (a, tftp_server) && !is_plain (a->tftp_server))
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT,
                    "tftp_server: only printable ASCII, without spaces, commas, quotes and backslashes");
  return r < 0 ? r : check_options (&a->options, err);
}

/* A name is told where there is somebody to tell it. */
int
nb_dhcp_is_asked (const struct hv_net_attach_args *a)
{
  return a->nameservers.count > 0 || a->ntp.count > 0 || HV_HAS (a, bootfile) || HV_HAS (a, tftp_server) || a->options.count > 0;
}

/* --- arguments --- */

struct text {
  struct hv_host *h;
  char *all; /* NULL: no memory */
};

HV_PRINTF (2, 3)
static void
add (struct text *t, const char *fmt, ...)
{
  char line[2048];
  va_list ap;
  va_start (ap, fmt);
  int n = vsnprintf (line, sizeof line, fmt, ap);
  va_end (ap);
  t->all = t->all != NULL && n >= 0 && (size_t) n < sizeof line ? hv_printf (t->h, "%s%s\n", t->all, line) : NULL;
}

/* Those that are good for it, each after a comma. */
static char *
join (struct hv_host *h, const struct hv_strs *list, int (*good) (const char *), const char *before, const char *after)
{
  char *all = hv_strdup (h, "");
  for (uint32_t i = 0; i < list->count && all != NULL; i++)
    if (good == NULL || good (list->items[i]))
      all = hv_printf (h, "%s,%s%s%s", all, before, list->items[i], after);
  return all;
}

static int
is_ipv6 (const char *s)
{
  return strchr (s, ':') != NULL;
}

/* An option with its list, or, with none, the word that it is not to be sent: dnsmasq would send its own. */
static void
add_list (struct text *t, unsigned option, const struct hv_strs *list, int (*good) (const char *))
{
  char *all = join (t->h, list, good, "", "");
  if (all == NULL)
    t->all = NULL;
  else
    add (t, "--dhcp-option%s=%u%s", all[0] != '\0' ? "-force" : "", option, all);
}

/* Byte by byte: dnsmasq would take a text that looks like an address or a number for one. */
static void
add_private (struct text *t, const char *option, const char *value)
{
  char hex[3 * 256] = "";
  size_t n = strlen (value);
  for (size_t i = 0; i < n; i++)
    (void) snprintf (hex + 3 * i, 4, "%02x%s", (unsigned char) value[i], i + 1 < n ? ":" : "");
  if (n == 1) /* without a colon it is decimal */
    add (t, "--dhcp-option-force=%s,%u", option, (unsigned char) value[0]);
  else
    add (t, "--dhcp-option-force=%s%s%s", option, n > 0 ? "," : "", hex);
}

/* The guest is told where to ask, too: KubeVirt leaves that out, and a guest has no route then. */
static void
add_ipv6 (struct text *t, const struct nb_lease *l, const struct hv_strs *nameservers)
{
  char *all = join (t->h, nameservers, is_ipv6, "[", "]");
  size_t n = strcspn (l->address6, "/");
  add (t, "--dhcp-range=%.*s,static,%s,%u", (int) n, l->address6, l->address6[n] != '\0' ? l->address6 + n + 1 : "128", NB_LEASE_S);
  add (t, "--enable-ra");
  if (all == NULL)
    t->all = NULL;
  else if (all[0] != '\0')
    add (t, "--dhcp-option-force=option6:dns-server%s", all);
}

/* The way to the gateway first where the guest's own net does not have it, as with Calico's /32. */
static void
add_routes (struct text *t, const struct nb_lease *l, const char *gateway)
{
  uint32_t mask = l->prefix == 0 ? 0 : htonl (~(uint32_t) 0 << (32 - l->prefix));
  if (l->gateway == 0) {
    add (t, "--dhcp-option=3");
    return;
  }
  add (t, "--dhcp-option-force=3,%s", gateway);
  if ((l->gateway & mask) != (l->address & mask))
    add (t, "--dhcp-option-force=121,%s/32,0.0.0.0,0.0.0.0/0,%s", gateway, gateway);
  else
    add (t, "--dhcp-option-force=121,0.0.0.0/0,%s", gateway);
}

char *
nb_dhcp_args (struct hv_host *h, const struct hv_net_attach_args *a, const struct nb_lease *l, const struct hv_strs *nameservers)
{
  char address[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN], mask[INET_ADDRSTRLEN];
  uint32_t bits = l->prefix == 0 ? 0 : htonl (~(uint32_t) 0 << (32 - l->prefix));
  struct text t = { h, hv_strdup (h, "") };
  (void) inet_ntop (AF_INET, &l->address, address, sizeof address);
  (void) inet_ntop (AF_INET, &l->gateway, gateway, sizeof gateway);
  (void) inet_ntop (AF_INET, &bits, mask, sizeof mask);
  add (&t, "--keep-in-foreground");
  add (&t, "--conf-file=/dev/null");
  add (&t, "--port=0");
  add (&t, "--interface=%s", l->bridge);
  add (&t, "--bind-interfaces");
  add (&t, "--dhcp-authoritative");
  add (&t, "--shared-network=%s,%s", l->bridge, address);
  add (&t, "--dhcp-range=%s,static,%s,%u", address, mask, NB_LEASE_S);
  add (&t, "--dhcp-host=%s,%s%s%.*s%s%s%s,%u", l->mac, address, l->address6 != NULL ? ",[" : "",
       l->address6 != NULL ? (int) strcspn (l->address6, "/") : 0, l->address6 != NULL ? l->address6 : "",
       l->address6 != NULL ? "]" : "", HV_HAS (a, hostname) ? "," : "", HV_HAS (a, hostname) ? a->hostname : "", NB_LEASE_S);
  add_routes (&t, l, gateway);
  add_list (&t, 6, a->nameservers.count > 0 ? &a->nameservers : nameservers, is_ipv4);
  add (&t, "--dhcp-option-force=26,%u", l->mtu);
  if (HV_HAS (a, domain))
    add (&t, "--dhcp-option-force=15,%s", a->domain);
  if (a->search.count > 0)
    add_list (&t, 119, &a->search, NULL);
  if (a->ntp.count > 0)
    add_list (&t, 42, &a->ntp, NULL);
  if (HV_HAS (a, bootfile))
    add (&t, "--dhcp-option-force=67,%s", a->bootfile);
  if (HV_HAS (a, tftp_server))
    add (&t, "--dhcp-option-force=66,%s", a->tftp_server);
  for (uint32_t i = 0; i < a->options.count; i++)
    add_private (&t, a->options.items[i].key, a->options.items[i].value);
  if (l->address6 != NULL)
    add_ipv6 (&t, l, a->nameservers.count > 0 ? &a->nameservers : nameservers);
  return t.all;
}

int
nb_dhcp_nameservers (struct hv_host *h, const char *resolv_conf, struct hv_strs *ret, struct hv_err *err)
{
  const char **found = hv_alloc (h, 3 * sizeof *found);
  char *text = hv_strdup (h, resolv_conf), *rest = text;
  if (found == NULL || text == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret = (struct hv_strs){ found, 0 };
  for (char *line; ret->count < 3 && (line = strsep (&rest, "\n")) != NULL;) {
    char *word = strsep (&line, " \t"), *address = line != NULL ? line + strspn (line, " \t") : NULL;
    if (address == NULL || strcmp (word, "nameserver") != 0)
      continue;
    address[strcspn (address, " \t\r#")] = '\0';
    if (is_ip (address) && strncmp (address, "127.", 4) != 0 && strcmp (address, "0.0.0.0") != 0 && strcmp (address, "::1") != 0
        && strncasecmp (address, "fe80:", 5) != 0)
      found[ret->count++] = address;
  }
  return 0;
}
