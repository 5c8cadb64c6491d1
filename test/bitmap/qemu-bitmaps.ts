/** What QEMU 7.2 said of bitmaps that it then sent: shared/captures, `expect_stream` of truth.json. Sizes in bytes. */
export interface QemuBitmap {
  readonly name: string;
  readonly size: number;
  readonly granularity: number;
  /** `count` of query-block. */
  readonly count: number;
  /** `x-debug-block-dirty-bitmap-sha256`. */
  readonly sha256: string;
  /** Dirty ranges, whole granules. */
  readonly extents: readonly (readonly [number, number])[];
}

export const QEMU_BITMAPS: readonly QemuBitmap[] = [
  {
    name: 'exact-one-chunk b0',
    size: 4194304,
    granularity: 512,
    count: 2048,
    sha256: '737cf717ad5bcf7e9812275e038189d0de5a8a06ee182ec37a8487df5d7eef63',
    extents: [
      [0, 512],
      [2097152, 1024],
      [4193792, 512],
    ],
  },
  {
    name: 'file-size-1-byte b0',
    size: 512,
    granularity: 512,
    count: 512,
    sha256: '7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8',
    extents: [[0, 512]],
  },
  {
    name: 'file-size-odd-bytes b0',
    size: 1000448,
    granularity: 512,
    count: 512,
    sha256: '7368744f847c2d0cb8b9810f22e64b167ae29cc7829de6250004f994a1170a68',
    extents: [[999424, 512]],
  },
  {
    name: 'full-dirty b0',
    size: 20971520,
    granularity: 1024,
    count: 20971520,
    sha256: '2b6e99ee899e1515e0cc44b220424cd9da6906b39490504bdcca2236755db51c',
    extents: [[0, 20971520]],
  },
  {
    name: 'granularity-128m-8pib b0',
    size: 9007199254740992,
    granularity: 134217728,
    count: 671088640,
    sha256: 'e10b35bd55f40162e09c5234d36a60d92eb467f77ae37bbba3dd6ccf3a527b02',
    extents: [
      [0, 134217728],
      [1125899906842624, 134217728],
      [3377699586310144, 268435456],
      [9007199120523264, 134217728],
    ],
  },
  {
    name: 'granularity-2g-small b1',
    size: 1099511627776,
    granularity: 268435456,
    count: 805306368,
    sha256: '36982a55fd0b6dde6f6530d59a5b7b43bda37440b16775d433c0a5fe32bed50a',
    extents: [
      [0, 268435456],
      [536870912000, 268435456],
      [1099243192320, 268435456],
    ],
  },
  {
    name: 'granularity-2g-small b0',
    size: 1099511627776,
    granularity: 2147483648,
    count: 6442450944,
    sha256: '8d80745188b4386f535c71b9acc989c41b04f05ee0a6e3d1402cc0e380a3ad40',
    extents: [
      [0, 2147483648],
      [536870912000, 2147483648],
      [1097364144128, 2147483648],
    ],
  },
  {
    name: 'one-chunk-minus-one-bit b0',
    size: 4193792,
    granularity: 512,
    count: 4193792,
    sha256: '7eaa2fee6a4a57f71923f3c954d23839769d140e02a70b5b4950bbab2a029cfe',
    extents: [[0, 4193792]],
  },
  {
    name: 'one-chunk-plus-one-bit b0',
    size: 4194816,
    granularity: 512,
    count: 1024,
    sha256: 'e4f1dd60e41e24b53704e371f7a34acae8313abb34a5ad963dd2222b2eefd91f',
    extents: [[4193792, 1024]],
  },
  {
    name: 'pc-postcopy b0',
    size: 1073741824,
    granularity: 65536,
    count: 1114112,
    sha256: 'db0945a55655f48870ea9815c552df308931e4cdfab02ed39648e28325197d67',
    extents: [
      [0, 65536],
      [536870912, 1048576],
    ],
  },
  {
    name: 'size-512 b1',
    size: 512,
    granularity: 2147483648,
    count: 2147483648,
    sha256: '7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8',
    extents: [[0, 2147483648]],
  },
  {
    name: 'size-512 b0',
    size: 512,
    granularity: 512,
    count: 512,
    sha256: '7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8',
    extents: [[0, 512]],
  },
  {
    name: 'size-zero b0',
    size: 0,
    granularity: 65536,
    count: 0,
    sha256: 'af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc',
    extents: [],
  },
  {
    name: 'small-qcow2-persistent b0',
    size: 67108864,
    granularity: 65536,
    count: 3342336,
    sha256: '958bee1647d9f2a1e7af96d13473e6bf7d57289c4b0731e4106af9559a198d7c',
    extents: [
      [0, 65536],
      [1048576, 65536],
      [10485760, 3145728],
      [67043328, 65536],
    ],
  },
  {
    name: 'sparse-1tib b0',
    size: 1099511627776,
    granularity: 65536,
    count: 589824,
    sha256: '4bd0df7e44646d85eeda141f2015a7f2e3e05edf03c44212ed7e702b6bac0c04',
    extents: [
      [0, 65536],
      [39728447488, 65536],
      [536870912000, 262144],
      [549755748352, 131072],
      [1099511562240, 65536],
    ],
  },
  {
    name: 'empty-clean b0',
    size: 5368709120,
    granularity: 65536,
    count: 0,
    sha256: '84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652',
    extents: [],
  },
  {
    name: 'many-granularities g536870912',
    size: 1073741824,
    granularity: 536870912,
    count: 1073741824,
    sha256: '35be322d094f9d154a8aba4733b8497f180353bd7ae7b0a15f90b586b549f28b',
    extents: [[0, 1073741824]],
  },
  {
    name: 'many-granularities g67108864',
    size: 1073741824,
    granularity: 67108864,
    count: 268435456,
    sha256: '22a63504487e67a4eb2fac803c4619c245cc4bfb8c82f20887a1ee53a8b03c78',
    extents: [
      [0, 67108864],
      [536870912, 67108864],
      [805306368, 67108864],
      [1006632960, 67108864],
    ],
  },
  {
    name: 'many-granularities g16777216',
    size: 1073741824,
    granularity: 16777216,
    count: 67108864,
    sha256: '935a506fc846f7c84380371a4d618d108ab2dd4d6ff4ce3c5eda541187f1a4b4',
    extents: [
      [0, 16777216],
      [536870912, 16777216],
      [805306368, 16777216],
      [1056964608, 16777216],
    ],
  },
];
