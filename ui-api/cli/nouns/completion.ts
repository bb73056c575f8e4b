/** `croft completion SHELL`: the script a shell loads. It asks `croft __complete` for candidates, one a line. */
import type { Command } from 'commander';
import { usageError } from '../exit.ts';
import { onAction, type Shell } from '../session.ts';

const scripts: Record<string, string> = {
  bash: `# croft completion for bash: source <(croft completion bash)
_croft() {
  local IFS=$'\\n'
  COMPREPLY=($(croft __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ \${#COMPREPLY[@]} -eq 0 ] && compopt -o default
}
complete -F _croft croft
`,
  zsh: `#compdef croft
# croft completion for zsh: source <(croft completion zsh)
_croft() {
  local -a found
  found=("\${(@f)$(croft __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=(\${found:#})
  if (( \${#found} )); then compadd -a found; else _files; fi
}
compdef _croft croft
`,
  fish: `# croft completion for fish: croft completion fish | source
function __croft_complete
  set -l words (commandline -opc) (commandline -ct)
  croft __complete -- $words[2..-1] 2>/dev/null
end
complete -c croft -f -a '(__croft_complete)'
`,
};

export function register(program: Command, shell: Shell): void {
  const completion = program
    .command('completion <shell>')
    .description(`print the completion script for ${Object.keys(scripts).join(', ')}`);
  onAction(completion, shell, async ({ args: [name = ''], session }) => {
    const script = scripts[name];
    if (script === undefined)
      throw usageError(`There is no completion for ${JSON.stringify(name)}.`, `Use ${Object.keys(scripts).join(', ')}.`);
    session.print(script);
  });
}
