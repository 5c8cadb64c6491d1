import { describe, expect, it } from 'vitest';
import { migrationOutlook } from '../../src/qmp/migration-outlook.js';
import { type MigrationSide, parseMigrationSide } from '../../src/qmp/migration-side.js';
import { verifyMigration } from '../../src/qmp/verify-migration.js';
import { eventText, outlookText, verificationText } from '../../src/report/watch-text.js';
import { answers, toldNode } from '../support/migration-answers.js';

const plain = (text: string): string => text;
/** What could move a cursor, or hide. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}]/u;
const NAME = 'b\u001b[2J\n\u202e';

const side = (node: string): MigrationSide => {
  const bitmaps = [{ name: NAME }, { name: `${NAME}2`, inconsistent: true }];
  const migration = { status: 'completed', 'error-desc': NAME };
  return parseMigrationSide(answers([toldNode(node, 2 ** 40, bitmaps)], { migration }));
};

describe('what a terminal is shown', () => {
  it('holds nothing that moves its cursor', () => {
    const lines = [
      ...outlookText(migrationOutlook(side(NAME), side('other')), plain),
      ...outlookText(migrationOutlook(side(NAME), side(NAME)), plain),
      ...verificationText(verifyMigration(side(NAME), side('other')), plain),
      ...verificationText(verifyMigration(side(NAME), side(NAME)), plain),
      ...eventText({ kind: 'phase', status: NAME, error: NAME }, plain),
      ...eventText({ kind: 'waiting', status: NAME }, plain),
    ];
    expect(lines.filter((line) => UNPRINTABLE.test(line))).toEqual([]);
    expect(lines.length).toBeGreaterThan(10);
  });

  it('any status is a status', () => {
    for (const status of ['constructor', '__proto__', '']) {
      expect(eventText({ kind: 'phase', status, error: undefined }, plain)).toEqual([`migration ${status}`]);
    }
  });

  it('tells how many bitmaps the migration fails for', () => {
    expect(outlookText(migrationOutlook(side('disk0'), undefined), plain)).toContain(
      'the whole migration fails because of 1 bitmap',
    );
  });
});
