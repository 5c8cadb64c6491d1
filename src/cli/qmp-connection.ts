import { QmpClient } from '../io/qmp-client.js';
import type { QmpExecutor } from '../qmp/commands.js';

/** How a QEMU is reached. */
export interface QmpOptions {
  /** `unix:PATH`, `tcp:HOST:PORT`, or a path. */
  readonly qmp: string;
  /** Seconds for the greeting, and for each answer. */
  readonly timeout: number;
  /** Ends waiting for either. */
  readonly signal?: AbortSignal | undefined;
}

/** A connection for a command. */
export interface QmpConnection {
  readonly qmp: QmpExecutor;
  /** Gives up the connection, and makes another: the socket takes one client. */
  readonly reconnect: () => Promise<QmpExecutor>;
}

/** A connection that is made when it is asked for. */
export interface LazyQmp {
  /** The one there is, or a new one. @throws DirtyBitmapError as `QmpClient.connect`. */
  readonly connect: () => Promise<QmpExecutor>;
  /** Gives it up; `connect` makes another. */
  readonly close: () => Promise<void>;
}

/** Does some work over a connection that ends with it. @throws DirtyBitmapError as `QmpClient.connect`. */
export async function withQmp<T>(options: QmpOptions, work: (connection: QmpConnection) => Promise<T>): Promise<T> {
  const { connect, close } = lazyQmp(options);
  const reconnect = async (): Promise<QmpExecutor> => {
    await close();
    return await connect();
  };
  try {
    return await work({ qmp: await connect(), reconnect });
  } finally {
    await close();
  }
}

/** A connection that is not made yet. */
export function lazyQmp({ qmp, timeout: seconds, signal }: QmpOptions): LazyQmp {
  const timeout = seconds * 1000;
  let client: QmpClient | undefined;
  return {
    connect: async () => {
      const made = client ?? (await QmpClient.connect(qmp, { timeout, signal }));
      client = made;
      return { execute: (command, args) => made.execute(command, args, { timeout, signal }) };
    },
    close: async () => {
      await client?.close();
      client = undefined;
    },
  };
}
