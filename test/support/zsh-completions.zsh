# zsh -f zsh-completions.zsh SCRIPT LINE OUT: writes to OUT, a line each, what the tab key offers after LINE.
zmodload zsh/zpty
typeset script=$1 line=$2 out=$3
zpty shell zsh -f -i
# What is offered goes through compadd: -O, -A and -D are for its own questions.
zpty -w shell "PS1=; autoload -Uz compinit; compinit -u -D; source $script
compadd() {
  local -a offered
  if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then
    builtin compadd -A offered \"\$@\"
    print -rl -- \$offered >>$out
  fi
  builtin compadd \"\$@\"
}
bindkey '^I' complete-word; print -n >$out"
until [[ -e $out ]]; do zpty -r -t shell >/dev/null; sleep 0.05; done
zpty -w -n shell "$line"$'\t'
until [[ -s $out ]]; do zpty -r -t shell >/dev/null; sleep 0.05; done
