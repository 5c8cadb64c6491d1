/** What the formats with backing files begin with. A qcow2 image of version 1 is another format, which is not read. */
const MAGICS: readonly (readonly [begin: string, format: string])[] = [
  ['QFI\xfb\0\0\0\x01', 'qcow'],
  ['QFI\xfb', 'qcow2'],
  ['QED\0', 'qed'],
  ['KDMV', 'vmdk'],
  ['COWD', 'vmdk'],
  ['# Disk DescriptorFile', 'vmdk'],
  ['WithoutFreeSpace', 'parallels'],
  ['WithouFreSpacExt', 'parallels'],
];

/** Bytes from the start of a file that {@link probeFormat} looks at. */
export const PROBE_BYTES = 32;

/**
 * What a file looks like, of the formats that can refer to other files; `raw` is all else. Whoever writes the content
 * decides what it looks like: a guest, where the file is raw.
 */
export function probeFormat(begin: Uint8Array): string {
  const text = String.fromCharCode(...begin.subarray(0, PROBE_BYTES));
  return MAGICS.find(([magic]) => text.startsWith(magic))?.[1] ?? 'raw';
}

// Those that never refer to another file; names of protocol drivers stand for the bytes as they are.
const WITHOUT_BACKING: readonly string[] = 'raw luks bochs cloop dmg vdi vpc vhdx file host_device host_cdrom'.split(
  ' ',
);

/** Whether the chain ends with a layer of that format, whatever its content. */
export function endsChain(format: string): boolean {
  return WITHOUT_BACKING.includes(format);
}
