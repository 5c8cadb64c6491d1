export { type Ended, Qemu } from '../../test/support/qemu.js';
