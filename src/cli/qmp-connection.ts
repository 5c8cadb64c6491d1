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

/** Does some work over a connection that ends with it. @throws DirtyBitmapError as `QmpClient.connect`. */
export async function withQmp<T>(options: QmpOptions, work: (connection: QmpConnection) => Promise<T>): Promise<T> {
  const { signal } = options;
  const timeout = options.timeout * 1000;
  let client: QmpClient | undefined;
  const connect = async (): Promise<QmpExecutor> => {
    await client?.close();
    const made = await QmpClient.connect(options.qmp, { timeout, signal });
    client = made;
    return { execute: (command, args) => made.execute(command, args, { timeout, signal }) };
  };
  try {
    return await work({ qmp: await connect(), reconnect: connect });
  } finally {
    await client?.close();
  }
}
