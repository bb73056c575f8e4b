/** `croft vm console`: the serial console, by hand or by script. */
import { Option, type Command } from 'commander';
import { usageError } from '../exit.ts';
import { parseDuration } from '../options.ts';
import { onAction, type Shell } from '../session.ts';
import type { ScriptStep } from '../console-script.ts';

type ConsoleOptions = { send?: ScriptStep[]; timeout?: number };

export function addConsole(vm: Command, shell: Shell): void {
  // Both options fill one list: their order on the command line is the order of the conversation.
  const steps: ScriptStep[] = [];
  const command = vm
    .command('console <vm>')
    .description('open the serial console; Ctrl-] leaves it')
    .addOption(
      new Option('--send <text>', 'type this and press Enter; repeat, mixed with --expect, for a conversation').argParser(
        (text) => {
          steps.push({ send: text });
          return steps;
        },
      ),
    )
    .addOption(
      new Option('--expect <regex>', 'wait for this in the output').argParser((text) => {
        steps.push({ expect: pattern(text) });
        return steps;
      }),
    )
    .option('--timeout <duration>', 'for each --expect; without one: leave after this time', parseDuration);
  onAction<ConsoleOptions>(command, shell, async ({ args: [name = ''], options, session }) => {
    const { openConsole } = await import('../console.ts');
    await openConsole(session, name, { steps: [...steps], timeout: options.timeout });
  });
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, 'm');
  } catch (error) {
    throw usageError(`--expect: ${(error as Error).message}`);
  }
}
