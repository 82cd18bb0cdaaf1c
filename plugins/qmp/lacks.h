/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this backend cannot do, and what would help: QMP_LACKS (verb, reason). Included wherever a list of it is made; the same
 * words are in probe and in the answer of the verb. */
QMP_LACKS (block_commit, "layers are merged downwards by snapshot_delete, and not otherwise")
QMP_LACKS (block_pull, "layers are merged downwards by snapshot_delete; nothing is merged upwards")
QMP_LACKS (block_mirror, "disks are not copied under a running guest; take a snapshot and convert the layers below it")
QMP_LACKS (backup_begin, "disks are not backed up under a running guest; take a snapshot and copy the layers below it")
QMP_LACKS (backup_end, "there are no backups without backup_begin")
