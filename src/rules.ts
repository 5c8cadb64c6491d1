/** How much a broken rule matters: `error` loses or endangers bitmaps, `warning` is odd, `info` is worth knowing. */
export type Severity = 'error' | 'warning' | 'info';

interface Rule {
  readonly severity: Severity;
  /** What must hold, in one sentence. */
  readonly rule: string;
}

/**
 * Every rule that is checked, under its stable code: the `code` of a thrown `DirtyBitmapError` and of a `Finding`.
 * Sources are the project's pages wire-format, dirty-bitmap-states, container, versions and qcow2-bitmaps.
 */
export const RULES = {
  // How the library is called
  argument: { severity: 'error', rule: 'An argument must be in the documented range.' },
  limit: { severity: 'error', rule: 'What the input asks for must stay within the configured limits.' },
  unsupported: { severity: 'error', rule: 'The input must be of a kind that this version reads.' },
  'file-access': { severity: 'error', rule: 'The file must be there and readable.' },

  // Numbers and framing
  'u64-too-large': { severity: 'error', rule: 'A 64-bit field must not exceed 2^53-1.' },
  truncated: { severity: 'error', rule: 'The input must not end inside a structure.' },

  // Chunks: wire-format.md
  'name-empty': { severity: 'error', rule: 'A name that is announced has 1 to 255 bytes.' },
  'name-nul': { severity: 'error', rule: 'A name holds no NUL byte (QEMU cuts it there).' },
  'name-not-utf8': { severity: 'warning', rule: 'A name is clean UTF-8.' },
  'flags-two-kinds': { severity: 'error', rule: 'A chunk has one of START, COMPLETE and BITS.' },
  'flags-zeroes-without-bits': { severity: 'error', rule: 'ZEROES stands only beside BITS.' },
  'flags-unknown': { severity: 'warning', rule: 'Flag bits above 0x7f are not defined.' },
  'flags-wide': { severity: 'warning', rule: 'Flags are written in their shortest form.' },
  'flags-none': { severity: 'warning', rule: 'No sender makes a chunk with no flag at all.' },
  'granularity-invalid': { severity: 'error', rule: 'Granularity is a power of two from 512 bytes to 2 GiB.' },
  'start-flags-reserved': { severity: 'error', rule: 'Bits 3 to 7 of the START byte are zero.' },
  'start-flags-autoload': { severity: 'info', rule: 'Bit 2 of the START byte (autoload) is obsolete and ignored.' },
  'bits-size-limit': { severity: 'error', rule: 'A BITS buffer has at most 10240 bytes.' },
  'bits-size-mismatch': {
    severity: 'error',
    rule: 'A BITS buffer has the bytes its range needs, padded to at most a multiple of 32.',
  },
  'bits-padding': { severity: 'warning', rule: 'Padding after the bits is zero.' },
  'sector-overflow': { severity: 'error', rule: 'A range of sectors ends by 2^53 bytes.' },
  'sector-count-zero': {
    severity: 'error',
    rule: 'A BITS chunk covers at least one sector, unless the disk has none.',
  },
  'bits-misaligned': { severity: 'error', rule: 'Ranges begin and end on 64 granules, except the last of the disk.' },

  // Which bitmap a chunk means, and the order of chunks
  'name-missing': { severity: 'error', rule: 'The first chunk of a migration names its node and its bitmap.' },
  'name-ambiguous': { severity: 'error', rule: 'A chunk with a new node name also names the bitmap.' },
  'started-twice': { severity: 'error', rule: 'A bitmap is started once.' },
  'never-started': { severity: 'error', rule: 'BITS and COMPLETE are for a bitmap that was started in this stream.' },
  'bits-after-complete': { severity: 'error', rule: 'No BITS for a bitmap that is complete.' },
  'completed-twice': { severity: 'warning', rule: 'A bitmap is completed once.' },
  'complete-missing': { severity: 'error', rule: 'Every bitmap that is started is completed.' },
  'chunk-gap': { severity: 'warning', rule: 'The ranges of a complete bitmap leave no hole: a hole reads as clean.' },
  'chunk-overlap': { severity: 'warning', rule: 'A range is sent once.' },
  'chunk-order': { severity: 'warning', rule: 'QEMU sends the ranges of a bitmap in ascending order.' },
  'bits-past-end': { severity: 'warning', rule: 'Bits after the end of the range are zero.' },
  'source-loops': {
    severity: 'error',
    rule: 'A source makes progress (QEMU loops for ever where min(remaining, 16 x granularity) sectors reach 2^32).',
  },

  // The stream around it: container.md
  'magic-invalid': { severity: 'error', rule: 'A migration stream begins with QEVM.' },
  'version-unsupported': { severity: 'error', rule: 'The stream is of version 3.' },
  'not-main-channel': { severity: 'error', rule: 'The capture is of the main channel, in the clear.' },
  'leading-bytes': { severity: 'info', rule: 'The stream begins at the first byte of the file.' },
  'configuration-invalid': { severity: 'error', rule: 'The configuration section is well-formed.' },
  'configuration-missing': { severity: 'info', rule: 'Machine types since 2.4 send a configuration section.' },
  'item-unknown': { severity: 'error', rule: 'A section, a command or the end follows.' },
  'section-unknown': { severity: 'error', rule: 'PART and END belong to a section that was started.' },
  'section-name-invalid': { severity: 'error', rule: 'A section has a name of 1 to 255 bytes.' },
  'section-id-reused': { severity: 'error', rule: 'A section id keeps its meaning.' },
  'section-version': { severity: 'error', rule: 'The section has a version that this reads (dirty-bitmap 1, ram 4).' },
  'footer-missing': { severity: 'error', rule: 'Either every section has a footer or none has.' },
  'footer-mismatch': { severity: 'error', rule: 'A footer repeats the id of its section.' },
  'source-failed-in-setup': { severity: 'error', rule: 'The source sets up its dirty bitmaps without refusing.' },
  'command-invalid': { severity: 'error', rule: 'A command has a known number and its own length.' },
  'package-invalid': { severity: 'warning', rule: 'A package begins with LISTEN and ends with RUN.' },
  'ram-invalid': { severity: 'error', rule: 'RAM records are well-formed.' },
  'ram-page-size-guessed': { severity: 'info', rule: 'The stream tells its page size.' },
  'block-invalid': { severity: 'error', rule: 'Records of the legacy block section are well-formed.' },
  'section-invalid': { severity: 'error', rule: 'The body of a section that delimits itself is well-formed.' },
  'device-unsized': {
    severity: 'error',
    rule: 'The end of a device section can be found (vmdesc, or footers to scan for).',
  },
  'tail-unread': {
    severity: 'warning',
    rule: 'What follows the last bitmap can be followed to the end of the stream.',
  },
  'device-scanned': { severity: 'info', rule: 'Device sections are sized by a vmdesc rather than by scanning.' },
  'device-size-mismatch': { severity: 'warning', rule: 'The vmdesc gives the size of every device section.' },
  'vmdesc-invalid': { severity: 'warning', rule: 'The vmdesc is well-formed JSON of the announced length.' },
  'bytes-after-end': { severity: 'warning', rule: 'Nothing follows the end of the stream.' },
  'stream-cut': { severity: 'error', rule: 'The stream goes on to its EOF marker.' },
  'dirty-bitmap-absent': {
    severity: 'warning',
    rule: 'The stream has a dirty-bitmap section (capability dirty-bitmaps on).',
  },

  // State machines: dirty-bitmap-states.md
  'bitmap-busy': { severity: 'error', rule: 'A bitmap that a migration or a job uses is left alone.' },
  'bitmap-readonly': { severity: 'error', rule: 'A read-only bitmap is not changed and does not migrate.' },
  'bitmap-inconsistent': { severity: 'error', rule: 'An inconsistent bitmap can only be removed.' },
  'bitmap-exists': { severity: 'error', rule: 'A bitmap that is made has a name that its node does not have yet.' },
  'successor-exists': { severity: 'error', rule: 'A bitmap has one successor at most.' },
  'successor-missing': { severity: 'error', rule: 'What acts on a successor needs one.' },
  'node-readonly': { severity: 'error', rule: 'A read-only node is not written.' },
  'node-unnamed': { severity: 'error', rule: 'A node whose bitmaps migrate has a name that was given to it.' },
  'node-twice': { severity: 'error', rule: 'The bitmaps of a node migrate under one name.' },
  'node-not-found': { severity: 'error', rule: 'The destination has the node that the stream names.' },
  'alias-unknown': { severity: 'error', rule: 'The mapping of the destination has every alias of the stream.' },
  'name-too-long': { severity: 'error', rule: 'A name in the stream has at most 255 bytes.' },
  'mapping-invalid': { severity: 'error', rule: 'A block-bitmap-mapping is well-formed in both directions.' },
  'state-invalid': { severity: 'error', rule: 'A migration takes its steps in order.' },
  'start-after-run': { severity: 'error', rule: 'No bitmap begins after the VM was started.' },
  'bits-out-of-range': { severity: 'error', rule: 'A range lies within the disk.' },
  'bitmap-too-large': { severity: 'error', rule: 'A bitmap has at most 2^41 granules (QEMU asserts it).' },
  'granularity-differs': {
    severity: 'error',
    rule: 'A bitmap that is there already has the granularity of the one that comes (policy patch-2017).',
  },
  'persistent-unstorable': { severity: 'warning', rule: 'The node of a persistent bitmap can store it.' },
  'bitmaps-cancelled': { severity: 'error', rule: 'The migration of the bitmaps is not given up.' },
  'snapshot-invalid': { severity: 'error', rule: 'A snapshot is of this version and of this block graph.' },

  // Bitmap sets and reports
  'set-invalid': { severity: 'error', rule: 'A bitmap set has the documented form.' },
  'bitmap-not-found': { severity: 'error', rule: 'The bitmap that is asked for is in the input.' },
  'sha256-skipped': { severity: 'info', rule: 'Bitmaps up to the limit are hashed.' },
  'findings-capped': { severity: 'info', rule: 'Findings are listed up to the limit.' },

  // Writing
  'output-exists': { severity: 'error', rule: 'A file that is there is overwritten only where that is asked for.' },
  'image-locked': { severity: 'error', rule: 'An image that is written is open nowhere else.' },
  'image-lock-missing': { severity: 'error', rule: 'An image is locked, as QEMU locks it, while it is written.' },
  'size-unknown': {
    severity: 'error',
    rule: 'A bitmap that is sent tells the size of its disk, or how far it is known.',
  },
  'size-differs': {
    severity: 'error',
    rule: 'Bitmaps that are merged, or put beside others, are of disks of one size.',
  },

  // On the wire
  'address-in-use': { severity: 'error', rule: "A socket that is listened on is nobody else's." },
  'peer-stalled': { severity: 'error', rule: 'The other side of a connection goes on in time.' },
  'peer-closed': { severity: 'error', rule: 'The other side keeps a connection until all went through.' },

  // QMP
  'qmp-protocol': {
    severity: 'error',
    rule: 'QEMU greets, answers each command with its id, and says the rest in events.',
  },
  'qmp-refused': { severity: 'error', rule: 'QEMU does what a command asks.' },
  'qmp-closed': { severity: 'error', rule: 'The connection to QEMU stays until everything is answered.' },
  'qmp-timeout': { severity: 'error', rule: 'QEMU greets and answers in time.' },
  'plan-refused': { severity: 'error', rule: 'A plan that is applied has nothing that QEMU would refuse.' },
  'plan-unverified': { severity: 'error', rule: 'Bitmaps are as planned when a plan was applied.' },

  // A migration between two QEMUs, asked over QMP: dirty-bitmap-states.md sections 3 and 4, versions.md
  'migration-capability': {
    severity: 'error',
    rule: 'The source of a migration has the capability dirty-bitmaps on, or no bitmap migrates.',
  },
  'migration-without-bitmaps': {
    severity: 'warning',
    rule: 'A migration with dirty-bitmaps on has a bitmap to take along (QEMU takes none in a later try either).',
  },
  'migration-mapping': {
    severity: 'warning',
    rule: 'Where one end has a block-bitmap-mapping, the other end knows its aliases.',
  },
  'migration-tried-before': {
    severity: 'warning',
    rule: 'The first try of a QEMU to migrate is the one that counts (without bitmaps then, it never takes any along).',
  },
  'migration-retry': {
    severity: 'error',
    rule: 'Persistent bitmaps migrate at the first try (QEMU sends them as transient after one that was cancelled).',
  },
  'migration-stall': {
    severity: 'error',
    rule: 'The granules of all bitmaps, which QEMU counts as bytes, fit into bandwidth times downtime-limit.',
  },
  'migration-two-nodes': {
    severity: 'warning',
    rule: 'In a postcopy migration to QEMU 7.0 to 10.x all bitmaps are of one node (the destination aborts).',
  },
  'migration-not-waiting': {
    severity: 'error',
    rule: 'The destination waits for the migration (-incoming), and opens its images when it takes over.',
  },
  'migration-switchover-start': {
    severity: 'error',
    rule: 'A source that sends SWITCHOVER_START (QEMU 10.0) has a destination that knows it.',
  },
  'handed-over-in-image': {
    severity: 'info',
    rule: 'With dirty-bitmaps off, a persistent bitmap goes over in an image that both ends open.',
  },
  'bitmap-stored': {
    severity: 'error',
    rule: 'No bitmap of that name is stored in the image of a destination that waits.',
  },
  'migration-not-proven': {
    severity: 'info',
    rule: 'That a bitmap was sent shows in its bits, or in that it was not there before.',
  },
  'migration-not-completed': { severity: 'error', rule: 'Both ends are compared when the migration is completed.' },
  'migration-bitmap-lost': { severity: 'error', rule: 'A bitmap that migrates is there at the destination.' },
  'migration-bitmap-differs': { severity: 'error', rule: 'A bitmap is at the destination what it was at the source.' },
  'disk-empty': {
    severity: 'error',
    rule: 'A bitmap that migrates is of a disk of at least one byte (QEMU asserts it).',
  },

  // qcow2 images, as they are read: qcow2-bitmaps.md
  'qcow2-magic': { severity: 'error', rule: 'A qcow2 image begins with QFI and the byte fb.' },
  'qcow2-version': { severity: 'error', rule: 'An image is of version 2 or 3.' },
  'qcow2-cluster-bits': { severity: 'error', rule: 'Clusters have 512 bytes to 2 MiB.' },
  'qcow2-backing-offset': {
    severity: 'error',
    rule: "The backing file's name lies between the header and the end of the first cluster.",
  },
  'qcow2-backing-size': {
    severity: 'error',
    rule: "The backing file's name has at most 1023 bytes and ends in the first cluster.",
  },
  'qcow2-crypt-method': { severity: 'error', rule: 'The encryption is none, AES or LUKS.' },
  'qcow2-l1-offset': { severity: 'error', rule: 'The L1 table begins on a cluster.' },
  'qcow2-refcount-table-offset': { severity: 'error', rule: 'The refcount table begins on a cluster.' },
  'qcow2-refcount-table-size': { severity: 'error', rule: 'The refcount table has one cluster to 8 MiB.' },
  'qcow2-snapshot-count': { severity: 'error', rule: 'An image has at most 65536 snapshots.' },
  'qcow2-snapshots-offset': { severity: 'error', rule: 'The snapshot table begins on a cluster.' },
  'qcow2-incompatible-unknown': { severity: 'error', rule: 'Every incompatible feature of the image is known.' },
  'qcow2-refcount-order': { severity: 'error', rule: 'A refcount has 1 to 64 bits.' },
  'qcow2-header-length': {
    severity: 'error',
    rule: 'The header has at least 104 bytes, a multiple of 8, and ends in the first cluster.',
  },
  'qcow2-crypto-header': { severity: 'error', rule: 'The extension of the encryption header has 16 bytes.' },
  'qcow2-extension-overrun': { severity: 'error', rule: 'A header extension ends within the extension area.' },
  'qcow2-extension-twice': { severity: 'error', rule: 'An image has one bitmaps extension.' },
  'qcow2-extension-missing': {
    severity: 'error',
    rule: 'An image whose autoclear bit 0 is set has a bitmaps extension.',
  },
  'qcow2-extension-length': { severity: 'error', rule: 'The bitmaps extension has 24 bytes.' },
  'qcow2-extension-reserved': { severity: 'error', rule: 'The reserved field of the bitmaps extension is zero.' },
  'qcow2-bitmap-count': { severity: 'error', rule: 'The bitmaps extension tells of 1 to 65535 bitmaps.' },
  'qcow2-directory-size': { severity: 'error', rule: 'The bitmap directory has 1 to 67107840 bytes.' },
  'qcow2-directory-offset': { severity: 'error', rule: 'The bitmap directory begins on a cluster.' },
  'qcow2-directory-outside': { severity: 'error', rule: 'The bitmap directory lies wholly inside the file.' },
  'qcow2-directory-broken': { severity: 'error', rule: 'The entries of the directory fill it exactly.' },
  'qcow2-directory-padding': { severity: 'warning', rule: 'The padding of a directory entry is zero.' },
  'qcow2-table-offset': { severity: 'error', rule: 'The table of a bitmap begins on a cluster.' },
  'qcow2-table-entries': { severity: 'error', rule: 'A bitmap has at least one cluster and at most 512 MiB of bits.' },
  'qcow2-bitmap-flags': { severity: 'error', rule: 'Bits 3 to 31 of the flags of a bitmap are zero.' },
  'qcow2-bitmap-type': { severity: 'error', rule: 'A bitmap is of type 1, dirty tracking.' },
  'qcow2-granularity': { severity: 'error', rule: 'The granularity of a bitmap is 2^0 to 2^63 bytes.' },
  'qcow2-name-size': { severity: 'error', rule: 'The name of a bitmap has 1 to 1023 bytes.' },
  'qcow2-name-twice': { severity: 'error', rule: 'The bitmaps of an image have different names.' },
  'qcow2-table-length': {
    severity: 'error',
    rule: 'A bitmap that is not in use has as many clusters as the bits of the disk need.',
  },
  'qcow2-table-outside': { severity: 'error', rule: 'The table of a bitmap lies wholly inside the file.' },
  'qcow2-word-reserved': { severity: 'error', rule: 'Bits 1 to 8 and 56 to 63 of a table word are zero.' },
  'qcow2-word-ones-with-offset': { severity: 'error', rule: 'A table word with an offset has bit 0 clear.' },
  'qcow2-data-unaligned': { severity: 'error', rule: 'The bits of a bitmap lie in whole clusters.' },
  'qcow2-data-outside': { severity: 'error', rule: 'The bits of a bitmap lie wholly inside the file.' },
  'qcow2-cluster-shared': { severity: 'error', rule: 'A cluster belongs to one bitmap, or to the directory.' },
  'qcow2-cluster-referenced': { severity: 'error', rule: "Nothing else refers to a bitmap's clusters." },
  'qcow2-refcount-not-one': { severity: 'error', rule: "A bitmap's clusters have refcount 1." },
  'qcow2-refcount-block': { severity: 'error', rule: 'A refcount block is an aligned cluster inside the file.' },
  'qcow2-refcount-table-outside': { severity: 'error', rule: 'The refcount table lies wholly inside the file.' },
  'qcow2-snapshots-outside': { severity: 'error', rule: 'The snapshot table lies wholly inside the file.' },
  'qcow2-changed': { severity: 'error', rule: 'An image is not written while it is read.' },
  'qcow2-dirty': { severity: 'warning', rule: 'The writer of an image closes it (dirty bit).' },
  'qcow2-corrupt': { severity: 'warning', rule: 'QEMU has found no damage in the image (corrupt bit).' },
  'qcow2-autoclear-unknown': { severity: 'info', rule: 'Autoclear bits 2 to 63 are not defined.' },
  'qcow2-stale': { severity: 'warning', rule: 'Every writer of an image keeps its bitmaps (autoclear bit 0).' },
  'qcow2-in-use-live': { severity: 'info', rule: 'A bitmap that a writer has open is asked of the writer.' },
  'qcow2-in-use-orphaned': { severity: 'warning', rule: 'A bitmap is saved when its writer ends.' },
  'qcow2-in-use': { severity: 'warning', rule: 'No bitmap of the image is in use.' },
  'qcow2-bitmap-unsupported': { severity: 'warning', rule: 'A bitmap is of a kind that QEMU makes.' },
  'qcow2-unread-broken': { severity: 'warning', rule: 'The table of a bitmap that is not read is well-formed too.' },

  // qcow2 images, as they are written
  'qcow2-not-writable': { severity: 'error', rule: 'An image that is written is of version 3, whole and clean.' },
  'qcow2-no-room': { severity: 'error', rule: 'The header and the refcount table have room for what is added.' },
  'qcow2-write-failed': { severity: 'error', rule: 'The disk takes what is written to an image.' },
  'qcow2-verify-failed': { severity: 'error', rule: 'An image that was written reads as it was meant.' },
  'undo-invalid': { severity: 'error', rule: 'An undo file belongs to the image as the change left it.' },

  // Backing chains: merge-and-chain.md sections 11 and 12
  'backing-string': { severity: 'error', rule: 'A backing string names a file, a directory or a place in a network.' },
  'backing-missing': { severity: 'error', rule: 'The backing file that an overlay names is there.' },
  'backing-unreadable': { severity: 'error', rule: 'The backing file that an overlay names can be read.' },
  'backing-format-unset': {
    severity: 'error',
    rule: 'An overlay records the format of its backing file, unless that refers to no other file.',
  },
  'backing-format-assumed': { severity: 'warning', rule: 'An overlay records the format of its backing file.' },
  'chain-loop': { severity: 'error', rule: 'No layer of a chain is below itself.' },
  'chain-too-deep': { severity: 'error', rule: 'A chain has at most maxChainDepth layers.' },
  'chain-top-undeclared': {
    severity: 'warning',
    rule: 'The format of the top layer is declared: it is never guessed.',
  },
  'chain-layer-open': {
    severity: 'warning',
    rule: 'An image that a program has open for writing is asked of the program.',
  },
  'chain-data-file': { severity: 'error', rule: 'The data file of an image is there and can be read.' },
  'chain-size-differs': { severity: 'info', rule: 'The layers of a chain have disks of one size.' },
  'chain-bitmap-invalid': {
    severity: 'error',
    rule: 'A bitmap tells what changed where an unbroken run of layers from the top has it, and all of them record.',
  },
} as const satisfies Record<string, Rule>;

/** Stable code of a rule. */
export type Code = keyof typeof RULES;
