import { toHex } from '../bytes/text.js';
import type { Chain, FormatSource, Layer } from '../chain/layer.js';
import type { BackingLocation } from '../chain/location.js';
import type { Finding } from '../findings.js';
import type { Qcow2Bitmap } from '../qcow2/image.js';
import type { Trust } from '../qcow2/trust.js';

/** A bitmap of a layer. Sizes in bytes. */
export interface ChainBitmapDocument {
  readonly name: string;
  readonly nameHex?: string;
  readonly trust: Trust;
  readonly recording: boolean;
  readonly granularity: number;
  /** Null where the bits are not there. */
  readonly count: number | null;
}

/** A layer in the JSON of `chain`; null is what is not known or not there. */
export interface LayerDocument {
  readonly path: string;
  readonly format: string | null;
  readonly formatSource: FormatSource | null;
  readonly backingRaw: string | null;
  readonly relPath: string | null;
  readonly virtualSize: number | null;
  readonly fileSize: number | null;
  readonly writerPresent: boolean | null;
  readonly location: BackingLocation | null;
  readonly dataFile: {
    readonly raw: string | null;
    readonly path: string | null;
    readonly exists: boolean | null;
  } | null;
  readonly bitmaps: readonly ChainBitmapDocument[];
  readonly findings: readonly Finding[];
}

/** The JSON document of `chain --json`. */
export interface ChainDocument {
  readonly layers: readonly LayerDocument[];
  readonly end: Chain['end'];
  readonly endReason: string;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly offset: number | null;
    readonly brokenAt: {
      /** The overlay that names the layer; null for the top. */
      readonly overlay: string | null;
      readonly backingRaw: string | null;
      readonly path: string | null;
      /** Of a loop: the paths along it, the first one again at the end. */
      readonly cycle: readonly string[] | null;
    };
  } | null;
  readonly findings: readonly Finding[];
}

/** The document of `chain`: the active layer first. */
export function chainDocument(chain: Chain): ChainDocument {
  const { layers, end, endReason, findings } = chain;
  return { layers: layers.map(layerDocument), end, endReason, error: errorOf(chain), findings: findings.list };
}

function errorOf({ error, brokenAt }: Chain): ChainDocument['error'] {
  if (error === undefined) return null;
  const { code, message, offset = null } = error;
  const { overlay = null, backingRaw = null, path = null, cycle = null } = brokenAt ?? {};
  return { code, message, offset, brokenAt: { overlay, backingRaw, path, cycle } };
}

function layerDocument(layer: Layer): LayerDocument {
  const { path, format = null, formatSource = null, backingRaw = null, relPath = null } = layer;
  const { virtualSize = null, fileSize = null, writerPresent = null, location = null, dataFile } = layer;
  return {
    ...{ path, format, formatSource, backingRaw, relPath, virtualSize, fileSize, writerPresent, location },
    dataFile: dataFile
      ? { raw: dataFile.raw ?? null, path: dataFile.path ?? null, exists: dataFile.exists ?? null }
      : null,
    bitmaps: layer.bitmaps.map(bitmapDocument),
    findings: layer.findings.list,
  };
}

function bitmapDocument({ name, trust, auto, granularity, bits }: Qcow2Bitmap): ChainBitmapDocument {
  return {
    name: name.text,
    ...(!name.clean && { nameHex: toHex(name.bytes) }),
    ...{ trust, recording: auto, granularity, count: bits?.count() ?? null },
  };
}
