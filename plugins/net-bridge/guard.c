/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest may send: frames from its own MAC, with its own addresses in them where those are known, and nothing that only a
 * router or a DHCP server says. As Incus does it; but at the tap's ingress, where no other port's frames pass by. */
#include "net-bridge.h"
#include <arpa/inet.h>
#include <string.h>

#define ADDRESSES_MAX 16u

/* Without the prefix. */
static int
bare (const char *address, char ret[NB_ADDRESS])
{
  size_t n = strcspn (address, "/");
  if (n >= NB_ADDRESS)
    return 0;
  memcpy (ret, address, n);
  ret[n] = '\0';
  return 1;
}

/* Link-local ones are always the guest's to choose. */
static uint32_t
find_ipv6 (const struct nb_document *d, uint8_t (*ret)[16])
{
  char text[NB_ADDRESS];
  if (d->kind == NB_BRIDGE)
    return nb_saved_ipv6 (d->addresses, ret, ADDRESSES_MAX);
  return HV_HAS (d, guest_address6) && bare (d->guest_address6, text) && inet_pton (AF_INET6, text, ret[0]) == 1;
}

static void
add_arp (struct nb_nft *n, const char *table, const char *mac, const char *address)
{
  if (address != NULL)
    nb_nft_add (n, "add rule netdev %s guest arp htype 1 arp ptype ip arp saddr ether %s arp saddr ip { 0.0.0.0, %s } accept",
                table, mac, address);
  else
    nb_nft_add (n, "add rule netdev %s guest arp saddr ether %s accept", table, mac);
}

static void
add_ipv4 (struct nb_nft *n, const char *table, const char *address)
{
  if (address == NULL) {
    nb_nft_add (n, "add rule netdev %s guest ether type ip accept", table);
    return;
  }
  nb_nft_add (n, "add rule netdev %s guest ip saddr %s accept", table, address);
  nb_nft_add (n, "add rule netdev %s guest ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept", table);
}

/* An advertisement says whose address it is about, whatever it comes from. */
static void
add_ipv6 (struct nb_nft *n, const char *table, const struct nb_document *d)
{
  uint8_t own[ADDRESSES_MAX][16];
  uint32_t count = find_ipv6 (d, own);
  char text[INET6_ADDRSTRLEN];
  if (d->kind == NB_NETWORK) {
    nb_nft_add (n, "add rule netdev %s guest ether type ip6 accept", table);
    return;
  }
  nb_nft_add (n, "add set netdev %s own { type ipv6_addr; flags interval; elements = { ::, fe80::/10 }; }", table);
  for (uint32_t i = 0; i < count; i++)
    nb_nft_add (n, "add element netdev %s own { %s }", table, inet_ntop (AF_INET6, own[i], text, sizeof text));
  nb_nft_add (n, "add rule netdev %s guest ether type ip6 ip6 saddr != @own drop", table);
  nb_nft_add (n, "add rule netdev %s guest icmpv6 type nd-neighbor-advert @th,64,10 0x3fa accept", table); /* fe80::/10 */
  for (uint32_t i = 0; i < count; i++) {
    char hex[33];
    for (unsigned k = 0; k < 16; k++)
      (void) snprintf (hex + 2 * k, 3, "%02x", own[i][k]);
    nb_nft_add (n, "add rule netdev %s guest icmpv6 type nd-neighbor-advert @th,64,128 0x%s accept", table, hex);
  }
  nb_nft_add (n, "add rule netdev %s guest icmpv6 type nd-neighbor-advert drop", table);
  nb_nft_add (n, "add rule netdev %s guest ether type ip6 accept", table);
}

void
nb_guard_put (const struct nb_document *d, struct nb_nft *n)
{
  char table[32], address[NB_ADDRESS];
  const char *ipv4 = d->kind != NB_NETWORK && HV_HAS (d, guest_address) && bare (d->guest_address, address) ? address : NULL;
  if (!d->guarded)
    return;
  (void) snprintf (table, sizeof table, "hvkit-guard-%s", d->tap);
  nb_nft_add (n, "create table netdev %s", table);
  nb_nft_add (n, "add chain netdev %s guest { type filter hook ingress device \"%s\" priority -500; policy drop; }", table, d->tap);
  nb_nft_add (n, "add rule netdev %s guest ether saddr != %s drop", table, d->guest_mac);
  add_arp (n, table, d->guest_mac, ipv4);
  nb_nft_add (n, "add rule netdev %s guest udp sport { 67, 547 } drop", table);
  nb_nft_add (n, "add rule netdev %s guest icmpv6 type { nd-router-advert, nd-redirect } drop", table);
  add_ipv4 (n, table, ipv4);
  add_ipv6 (n, table, d);
}

void
nb_guard_remove (const struct nb_document *d, struct nb_nft *n)
{
  if (!d->guarded)
    return;
  nb_nft_add (n, "add table netdev hvkit-guard-%s", d->tap); /* so that it can be deleted */
  nb_nft_add (n, "delete table netdev hvkit-guard-%s", d->tap);
}
