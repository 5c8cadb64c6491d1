import type { TraceLine } from '../capture/trace-json.js';
import type { Action } from '../chain/actions.js';
import type { MigrationOutlook } from '../qmp/migration-outlook.js';
import type { MigrationVerification } from '../qmp/verify-migration.js';
import type { ChainDocument } from '../report/chain-document.js';
import type { InfoDocument } from '../report/input-report.js';
import type { LiveChainDocument } from '../report/live-chain.js';
import type { MapExtent } from '../report/map-document.js';
import type { TapDocument } from '../report/tap-document.js';
import type { ChangeDocument } from './change-image.js';
import type { CheckDocument } from './commands/check.js';
import type { CompareDocument } from './commands/compare.js';
import type { UnreadInput } from './commands/info.js';
import type { ReceivedDocument } from './commands/receive.js';
import type { SentDocument } from './commands/send.js';
import type { WatchDocument } from './commands/watch.js';
import type { ErrorDocument } from './terminal.js';

/**
 * What the command line prints for programs, under the words of the command: `npm run build` makes a JSON Schema of each
 * in dist/schemas. Fields may be added in later versions, not changed; so may codes.
 */
export interface JsonDocuments {
  /** `info --json`: one document; for several inputs a list of them. */
  readonly info: InfoDocument | readonly (InfoDocument | UnreadInput)[] | ErrorDocument;
  /** `map --json`: runs, dirty and clean by turns, from 0 to the end of what is known. */
  readonly map: readonly MapExtent[] | ErrorDocument;
  /** `check --json`. */
  readonly check: CheckDocument | ErrorDocument;
  /** `compare --json`. */
  readonly compare: CompareDocument | ErrorDocument;
  /** One line of `trace --json`: an item of the input. */
  readonly trace: TraceLine | ErrorDocument;
  /** `chain --json`: of files, or with `--qmp` of a running VM. */
  readonly chain: ChainDocument | LiveChainDocument | ErrorDocument;
  /** `plan -o qmp`: the actions of one transaction. */
  readonly plan: readonly Action[];
  /** `bitmap ... --json`. */
  readonly bitmap: ChangeDocument | ErrorDocument;
  /** `receive --json`. */
  readonly receive: ReceivedDocument | ErrorDocument;
  /** `send --json`. */
  readonly send: SentDocument | ErrorDocument;
  /** `tap --json`: of the migration that passed. */
  readonly tap: (TapDocument & Partial<ErrorDocument>) | ErrorDocument;
  /** `watch --json`: of `--check`, of `--verify`, and of a migration that was followed. */
  readonly watch: MigrationOutlook | MigrationVerification | WatchDocument | ErrorDocument;
  /** Any command with `--json` that fails before it has an answer. */
  readonly error: ErrorDocument;
}
