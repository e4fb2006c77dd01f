// `bftpkg completion <shell>`: the script that a shell needs, and what it asks of us.
import type { Command } from 'commander';

import { complete, formatCompletion } from '../complete.ts';
import type { Context } from '../context.ts';
import { listKeyNames } from '../keys/key-file.ts';
import { keysFolder } from '../keys/folder.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { Shell } from '../output/formats.ts';
import { doneReport, type Report } from '../output/report.ts';
import { explainable } from './explain.ts';

// Each hands over the words up to the cursor, and takes the last line for what it is.
const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion of bftpkg. In ~/.bashrc: source <(bftpkg completion bash)
_bftpkg() {
  local words word last
  COMPREPLY=()
  # COMP_WORDS splits at = and :, which flags and names contain; the line itself doesn't.
  local line="\${COMP_LINE:0:$COMP_POINT}"
  IFS=$' \\t\\n' read -r -a words <<< "$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  local answer
  answer="$(command bftpkg __complete "\${words[@]:1}" 2>/dev/null)" || return
  last="\${answer##*$'\\n'}"
  local current="\${words[\${#words[@]}-1]}"
  local cut="\${current%"\${COMP_WORDS[COMP_CWORD]}"}"
  [[ "\${COMP_WORDS[COMP_CWORD]}" == "=" ]] && cut="$current"
  while IFS= read -r word; do
    [[ "$word" == :* || -z "$word" ]] || COMPREPLY+=("\${word#"$cut"}")
  done <<< "$answer"
  if [[ "$last" == ":files" ]]; then compopt -o default 2>/dev/null; fi
}
complete -F _bftpkg bftpkg
`,
  zsh: `#compdef bftpkg
# zsh completion of bftpkg. In ~/.zshrc, after compinit: source <(bftpkg completion zsh)
_bftpkg() {
  local -a answer found
  answer=("\${(@f)$(command bftpkg __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("\${(@)answer:#:*}")
  found=("\${(@)found:#}")
  (( $#found )) && compadd -- "\${(@)found}"
  [[ "\${answer[-1]}" == ":files" ]] && _files
  return 0
}
compdef _bftpkg bftpkg
`,
  fish: `# fish completion of bftpkg. bftpkg completion fish > ~/.config/fish/completions/bftpkg.fish
function __bftpkg_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l answer (command bftpkg __complete $words[2..-1] 2>/dev/null)
  for word in $answer
    if not string match -q ':*' -- $word
      echo $word
    end
  end
  if test (count $answer) -gt 0; and test "$answer[-1]" = ':files'
    __fish_complete_path (commandline -ct)
  end
end
complete -c bftpkg -f -a '(__bftpkg_complete)'
`,
  pwsh: `# PowerShell completion of bftpkg. In $PROFILE: bftpkg completion pwsh | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName bftpkg -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.EndOffset -le $cursorPosition } | ForEach-Object { $_.Extent.Text })
  # An empty word at the end would be lost between PowerShell and the program.
  if ($wordToComplete -eq '') { $words += '--complete-empty' }
  & bftpkg __complete @words 2>$null | Where-Object { $_ -and -not $_.StartsWith(':') } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`,
};

/** `completion <shell>`. */
export function completionScript(shell: Shell): Report {
  const script = SCRIPTS[shell];
  return doneReport('completion', { data: { shell, script }, lines: [], raw: script });
}

const EMPTY_WORD = '--complete-empty';

/** What `bftpkg __complete <word>…` prints. Never throws: a shell must not show errors of ours. */
export async function completeWords(
  program: Command,
  words: readonly string[],
  context: Pick<Context, 'cwd' | 'env'>,
): Promise<string> {
  const given = words.map((word) => (word === EMPTY_WORD ? '' : word));
  const quietly = async (read: () => Promise<readonly string[]>): Promise<readonly string[]> =>
    await read().catch(() => []);
  const completion = await complete(program, given, {
    // By the names of the files: nothing with a secret in it is read for a completion.
    keyNames: () => quietly(() => listKeyNames(keysFolder(context))),
    packages: () =>
      quietly(async () => {
        const { entries } = await loadLockfile(context.cwd);
        return entries.flatMap(({ name, version }) =>
          version === null ? [] : [`${name}@${version}`],
        );
      }),
    explainable: async () => Promise.resolve(explainable()),
  });
  return formatCompletion(completion);
}
