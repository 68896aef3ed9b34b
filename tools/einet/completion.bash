# Completion of `einet` for bash: source this file, or install it as
# /usr/share/bash-completion/completions/einet. Names come from the daemon, if it answers at once.

_einet_ask() { # _einet_ask COMMAND…: its table, from the daemon and for the tenant that were typed
  "${COMP_WORDS[0]}" "${daemon[@]}" "$@" --timeout 200ms 2>/dev/null
}

_einet_models() { # names that may be submitted to; an evicted one comes back
  _einet_ask models | awk '$3 == "loaded" || $3 == "evicted" { print $1 }'
}

_einet_tasks() {
  _einet_ask task list | awk 'NR > 1 { print $1 }'
}

_einet_planners() { # evaluate knows more of them than plan
  echo exact hybrid greedy random static:25 static:50 static:100 all single
  if [[ " ${COMP_WORDS[*]} " == *' evaluate '* ]]; then
    echo statistics confidence:90 confidence:95 confidence:99 oracle oracle-truth
  fi
}

_einet_values() { # _einet_values OPTION: what may follow it; fails if it takes no value
  case "$1" in
    --socket|--csv|--replay|--times|--beside|--plot) COMPREPLY=($(compgen -f -- "$current")) ;;
    --plan) COMPREPLY=($(compgen -W 'exact all last' -- "$current")) ;;
    --policy) COMPREPLY=($(compgen -W 'edf fixed-priority fifo imprecise' -- "$current")) ;;
    --planner|--base) COMPREPLY=($(compgen -W "$(_einet_planners)" -- "$current")) ;;
    --kill) COMPREPLY=($(compgen -W 'uniform exponential normal' -- "$current") $(compgen -f -- "$current")) ;;
    --judge) COMPREPLY=($(compgen -W 'test validation' -- "$current")) ;;
    --aggregation) COMPREPLY=($(compgen -W 'last most-confident product discounted' -- "$current")) ;;
    --expect) COMPREPLY=($(compgen -W 'lookalikes predictor statistics' -- "$current")) ;;
    --device) COMPREPLY=($(compgen -W 'cpu cuda' -- "$current")) ;;
    --deadline|--period|--release|--timeout) COMPREPLY=($(compgen -W '1ms 5ms 10ms 100ms 1s' -- "$current")) ;;
    --model) COMPREPLY=($(compgen -W "$(_einet_models)" -- "$current")) ;;
    --task) COMPREPLY=($(compgen -W "$(_einet_tasks)" -- "$current")) ;;
    --tenant|--priority|--mandatory-exit|--target-confidence|--events) COMPREPLY=() ;;
    *) return 1 ;;
  esac
}

_einet() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  # ":" splits words in bash; "static:25" is then completed behind it.
  local commands='status models submit jobs watch cancel task plan simulate evaluate analyze'
  local options='--socket --tenant --timeout --json --help'
  local command='' position=0 i
  local daemon=() # options that say which
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    local word="${COMP_WORDS[i]}"
    # "--socket=X" comes as three words.
    if [[ "$word" == -* && "${COMP_WORDS[i+1]}" == = ]]; then ((i++)); fi
    case "$word" in
      --socket|--tenant)
        daemon+=("$word" "${COMP_WORDS[i+1]/#\~\//$HOME/}")
        ((i++)) ;;
      --timeout|--model|--period|--task|--plan|--planner|--deadline|--release|--priority|--mandatory-exit|--target-confidence|--events|--csv|--replay|--policy|--seed|--seconds|--kill|--base|--beside|--judge|--aggregation|--device|--times|--expect|--plot)
        ((i++)) ;;
      -*) ;;
      *) if [ -z "$command" ]; then command="$word"
         elif [ "$command" = task ]; then command="task $word"; else ((position++)); fi ;;
    esac
  done
  if _einet_values "$previous"; then return; fi
  case "$command" in
    '') options="$options --version" ;;
    submit) options="$options --task --deadline --release --priority --mandatory-exit --target-confidence --plan --invert --follow" ;;
    'task add') options="$options --model --period --deadline --priority --mandatory-exit" ;;
    watch) options="$options --blocks --events" ;;
    jobs) options="$options --explain" ;;
    plan) options="--planner --json --help" ;;
    simulate) options="--csv --replay --policy --random --seed --seconds --no-check --json --help" ;;
    evaluate) options="--kill --planner --base --beside --judge --aggregation --device --times --expect --seed --plot --json --help" ;;
    analyze) options="--json --help" ;;
  esac
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    return
  fi
  case "$command" in
    '') COMPREPLY=($(compgen -W "$commands" -- "$current")) ;;
    submit)
      if [ "$position" -eq 0 ]; then
        COMPREPLY=($(compgen -W "$(_einet_models)" -- "$current"))
      else
        COMPREPLY=($(compgen -f -- "$current"))
      fi ;;
    task) COMPREPLY=($(compgen -W 'add remove list' -- "$current")) ;;
    'task remove') COMPREPLY=($(compgen -W "$(_einet_tasks)" -- "$current")) ;;
    cancel)
      local jobs
      jobs=$(_einet_ask jobs | awk 'NR > 1 { print $1 }')
      COMPREPLY=($(compgen -W "$jobs" -- "$current")) ;;
    plan|simulate|evaluate|analyze) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _einet einet
