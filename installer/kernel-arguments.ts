/** Reading the kernel command line (`/proc/cmdline`). */

/** The value of the last `name=value`; undefined when there is none. Quotes are not used by our boot loader. */
export function argumentOf(commandLine: string, name: string): string | undefined {
  const prefix = `${name}=`;
  return commandLine
    .trim()
    .split(/\s+/)
    .findLast((word) => word.startsWith(prefix))
    ?.slice(prefix.length);
}
