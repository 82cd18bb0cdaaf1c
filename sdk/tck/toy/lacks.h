/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this backend cannot do, and why: TOY_LACKS (verb, reason). Included wherever a list of it is made. The same words are in
 * probe and in the answer of the verb. */
TOY_LACKS (snapshot_create, "a sleeping machine writes nothing that could be kept apart")
TOY_LACKS (snapshot_list, "there are no snapshots without snapshot_create")
TOY_LACKS (snapshot_revert, "there are no snapshots without snapshot_create")
TOY_LACKS (snapshot_delete, "there are no snapshots without snapshot_create")
TOY_LACKS (block_commit, "a sleeping machine never opens its images")
TOY_LACKS (block_pull, "a sleeping machine never opens its images")
TOY_LACKS (block_mirror, "a sleeping machine never opens its images")
TOY_LACKS (backup_begin, "a sleeping machine never opens its images; copy the files")
TOY_LACKS (backup_end, "there are no backups without backup_begin")
TOY_LACKS (migrate, "a sleeping machine has no state to move; start one over there")
TOY_LACKS (migrate_in, "a sleeping machine has no state to move; start one here")
TOY_LACKS (dump_memory, "a sleeping machine has no memory of its own")
TOY_LACKS (logs, "a sleeping machine says nothing")
TOY_LACKS (console, "a sleeping machine says nothing")
TOY_LACKS (display, "a sleeping machine shows nothing; its picture is that of screenshot")
