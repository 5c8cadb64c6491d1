/**
 * What a connection of a migration carries, by its first bytes. `migration`: the main channel, in the clear. `tls`: it is
 * encrypted. `multifd`: RAM pages beside the main channel. `other`: what has no mark of its own, such as the channel of
 * postcopy-preempt. Source: container.md section 1.
 */
export type ChannelKind = 'migration' | 'tls' | 'multifd' | 'other';

/** Bytes that tell the kind. */
export const KIND_BYTES = 4;

const MARKS: readonly (readonly [ChannelKind, readonly number[]])[] = [
  ['migration', [0x51, 0x45, 0x56, 0x4d]],
  ['multifd', [0x11, 0x22, 0x33, 0x44]],
  // A handshake of TLS 1.0 to 1.3.
  ['tls', [0x16, 0x03]],
];

/** The kind of a channel that begins with these bytes; undefined where more are needed to tell. */
export function channelKind(head: Uint8Array): ChannelKind | undefined {
  let open = false;
  for (const [kind, mark] of MARKS) {
    if (!mark.slice(0, head.length).every((byte, at) => byte === head[at])) continue;
    if (head.length >= mark.length) return kind;
    open = true;
  }
  return open ? undefined : 'other';
}
