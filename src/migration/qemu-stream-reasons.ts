import { DAMAGED, quote, type ReasonText, raw } from './qemu-reason-text.js';
import type { QemuVersion } from './qemu-version.js';

const is11 = (version: QemuVersion): boolean => version === '11.1';

const CAPTURE_AGAIN = 'migrate again, and capture the whole stream';
const SAME_MACHINE = 'start the destination with the command line of the source, hotplugged devices included';

/** What goes wrong with the stream around the bitmaps. Sources: container.md, versions.md, and inject/. */
export const STREAM_REASONS = {
  'not-a-stream': {
    effect: 'fail',
    what: () => 'this is no migration stream',
    says: (d, version) =>
      !is11(version)
        ? 'Not a migration stream'
        : d.found === 'empty'
          ? 'Failed to peek at channel'
          : 'unknown channel magic',
    advice: 'give what a migration wrote, from its first byte on',
  },
  'stream-version': {
    effect: 'fail',
    what: () => 'the stream has a version other than 3',
    says: () => 'Unsupported migration stream version',
    advice: DAMAGED,
  },
  'configuration-missing': {
    effect: 'fail',
    what: () => 'the stream has no configuration section',
    says: () => 'Configuration section missing',
    advice: 'start the destination with -global migration.send-configuration=off, as the source was',
  },
  'configuration-unexpected': {
    effect: 'fail',
    what: () => 'the stream has a configuration section, which the destination has turned off',
    advice: 'leave -global migration.send-configuration=off out at the destination',
  },
  'configuration-invalid': {
    effect: 'fail',
    what: (d) => `the configuration section cannot be read: ${raw(d.found)}`,
    advice: CAPTURE_AGAIN,
  },
  machine: {
    effect: 'fail',
    what: (d) => `the source is a machine ${quote(d.found)}, the destination is ${quote(d.expected)}`,
    says: (d) => `Machine type received is '${raw(d.found)}' and local is '${raw(d.expected)}'`,
    advice: SAME_MACHINE,
  },
  capability: {
    effect: 'fail',
    what: (d) => `the stream needs the capability ${raw(d.found)}, which this version does not have`,
    advice: 'use a newer QEMU at the destination, or migrate without that capability',
  },
  'section-unknown': {
    effect: 'fail',
    what: (d) => `the destination has no section ${quote(d.found)} with instance ${raw(d.expected)}`,
    says: (d, version) =>
      `Unknown ${is11(version) ? '' : 'savevm '}section or instance '${raw(d.found)}' ${raw(d.expected)}.`,
    advice: SAME_MACHINE,
  },
  'section-not-started': {
    effect: 'fail',
    what: () => 'a section goes on that was never started',
    says: (_d, version) => (is11(version) ? 'Unknown section' : 'Unknown savevm section'),
    advice: DAMAGED,
  },
  'section-version': {
    effect: 'fail',
    what: (d) => `section ${quote(d.found)} has a version that this QEMU does not read`,
    says: (d) => `error while loading state for instance 0x0 of device '${raw(d.found)}'`,
    advice: 'use a QEMU at the destination that is as new as the source',
  },
  'footer-missing': {
    effect: 'fail',
    what: (d) => `section ${quote(d.found)} has no footer`,
    says: (d) => `Missing section footer for ${raw(d.found)}`,
    advice:
      'start the destination with -global migration.send-section-footer=off if the source was; else it is damaged',
  },
  'footer-unexpected': {
    effect: 'fail',
    what: (d) => `section ${quote(d.found)} has a footer, which the destination has turned off`,
    advice: 'leave -global migration.send-section-footer=off out at the destination',
  },
  'footer-mismatch': {
    effect: 'fail',
    what: (d) => `the footer of section ${quote(d.found)} has the id of another one`,
    says: (d) => `Mismatched section id in footer for ${raw(d.found)}`,
    advice: DAMAGED,
  },
  'source-failed': {
    effect: 'fail',
    what: () => 'the source refused to migrate its bitmaps and stopped',
    says: () => 'Unable to read node alias string',
    advice:
      "see the source's stderr: a busy, read-only or inconsistent bitmap, a name that is too long, or an auto-named node",
  },
  'command-unknown': {
    effect: 'fail',
    what: (d) => `this version does not know the command ${raw(d.found)}`,
    says: (d) => `MIG_CMD 0x${raw(d.expected)} unknown`,
    advice:
      'use a destination as new as the source, or start the source with -global migration.send-switchover-start=off',
  },
  'command-invalid': {
    effect: 'fail',
    what: (d) => `a command is malformed: ${raw(d.found)}`,
    advice: DAMAGED,
  },
  ping: {
    effect: 'fail',
    what: () => 'the stream has a PING, and there is no return path to answer on',
    says: (d) => `CMD_PING (0x${raw(d.found)}) received with no return path`,
    advice: 'let the destination listen on a socket, or migrate without return path',
  },
  'colo-refused': {
    effect: 'fail',
    what: () => 'the stream turns on COLO, which this version refuses',
    says: (_d, version) => (is11(version) ? 'MIG_CMD 0x8 deprecated' : undefined),
    advice: 'migrate without x-colo',
  },
  colo: {
    effect: 'fail',
    what: () => 'the stream turns on COLO, which does not end as a migration does',
    advice: 'migrate without x-colo',
  },
  damaged: {
    effect: 'fail',
    what: (d) => `the stream cannot be read on: ${raw(d.found)}`,
    advice: DAMAGED,
  },
  cut: {
    effect: 'fail',
    what: (d) => raw(d.found),
    advice: CAPTURE_AGAIN,
  },
  'postcopy-paused': {
    effect: 'fail',
    what: (d) => `after the switch-over to postcopy of RAM ${raw(d.found)}`,
    advice: 'recover the postcopy (migrate-recover); the bitmaps do not come back: make full backups',
  },
  'postcopy-lost': {
    effect: 'cancel',
    what: (d) => `after the switch-over to postcopy ${raw(d.found)}`,
    advice: 'bitmaps that were complete stay, the others are gone: make a full backup of their disks',
  },
  'postcopy-broken': {
    effect: 'note',
    what: (d) => `after the switch-over to postcopy, and after the last bitmap, ${raw(d.found)}`,
    advice: 'the bitmaps are all there',
  },
} as const satisfies Record<string, ReasonText>;
