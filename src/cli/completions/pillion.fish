# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_pillion_global_optspecs
    string join \n h/help V/version
end

function __fish_pillion_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_pillion_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_pillion_using_subcommand
    set -l cmd (__fish_pillion_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c pillion -n "__fish_pillion_needs_command" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_needs_command" -s V -l version -d 'Print version'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "run" -d 'Run the proxy, or the proxy around a program: `pillion run -- python agents.py`'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "demo" -d 'Simulated agents against a simulated model through the real proxy: no key, no network'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "check" -d 'Check the configuration and print what is in effect, with the origin of each value'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "simulate" -d 'The simulated model alone, with faults to order'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "dashboards" -d 'Write the Grafana dashboards and the Prometheus rules of this version'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "top" -d 'What a running Pillion\'s agents do, in this terminal and as it goes'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "completions" -d 'Print what a shell reads to complete verbs and flags'
complete -c pillion -n "__fish_pillion_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pillion -n "__fish_pillion_using_subcommand run" -l config -d 'The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]' -r -F
complete -c pillion -n "__fish_pillion_using_subcommand run" -l listen -d 'Where agents connect [default: 127.0.0.1:4100]' -r
complete -c pillion -n "__fish_pillion_using_subcommand run" -l admin -d 'Where health and metrics are [default: 127.0.0.1:4101]' -r
complete -c pillion -n "__fish_pillion_using_subcommand run" -l upstream -d 'Send everything to this URL' -r
complete -c pillion -n "__fish_pillion_using_subcommand run" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand demo" -l for -d 'End after this long; else with Ctrl-C' -r
complete -c pillion -n "__fish_pillion_using_subcommand demo" -l seed -d 'Same seed, same story' -r
complete -c pillion -n "__fish_pillion_using_subcommand demo" -l listen -d 'Where the simulated agents connect, and others may [default: a free port of the loopback]' -r
complete -c pillion -n "__fish_pillion_using_subcommand demo" -l admin -d 'Where health and metrics are [default: a free port of the loopback]' -r
complete -c pillion -n "__fish_pillion_using_subcommand demo" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand check" -l config -d 'The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]' -r -F
complete -c pillion -n "__fish_pillion_using_subcommand check" -l listen -d 'Where agents connect [default: 127.0.0.1:4100]' -r
complete -c pillion -n "__fish_pillion_using_subcommand check" -l admin -d 'Where health and metrics are [default: 127.0.0.1:4101]' -r
complete -c pillion -n "__fish_pillion_using_subcommand check" -l upstream -d 'Send everything to this URL' -r
complete -c pillion -n "__fish_pillion_using_subcommand check" -l agent -d 'Show what is in effect for this agent' -r
complete -c pillion -n "__fish_pillion_using_subcommand check" -l model -d '… and this model' -r
complete -c pillion -n "__fish_pillion_using_subcommand check" -l path -d '… and this path' -r
complete -c pillion -n "__fish_pillion_using_subcommand check" -l probe -d 'Also try each upstream, hop by hop: DNS, TCP, TLS, HTTP, list of models, credentials'
complete -c pillion -n "__fish_pillion_using_subcommand check" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l listen -d 'Where it listens' -r
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l script -d 'A script of answers and faults (YAML or JSON); `--example` prints one' -r -F
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l seed -d 'Same seed, same answers' -r
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l latency -d 'Time to the first token' -r
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l tokens-per-second -d 'Pace of a stream; 0 is as fast as can be' -r
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l tls -d 'Serve TLS (and plain HTTP still) with a certificate for localhost of a CA made up now, which is written to this file' -r -F
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l tls-cert -d 'Serve TLS with this certificate chain (PEM)' -r -F
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l tls-key -d '… and its key (PEM)' -r -F
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -l example -d 'Print a script with comments that shows every kind of answer and fault, and end'
complete -c pillion -n "__fish_pillion_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand dashboards" -l out -d 'The folder they go to: `DIR/*.json` and `DIR/alerts/pillion.rules.yaml`; files of an earlier version are written over' -r -f -a "(__fish_complete_directories)"
complete -c pillion -n "__fish_pillion_using_subcommand dashboards" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand top" -l admin -d 'The admin port to look at: an address or a URL [env: `PILLION_SERVER__ADMIN`] [default: 127.0.0.1:4101]' -r
complete -c pillion -n "__fish_pillion_using_subcommand top" -l token -d 'Its token; in the environment others on this machine cannot read it [env: `PILLION_SERVER__ADMIN_TOKEN`]' -r
complete -c pillion -n "__fish_pillion_using_subcommand top" -l interval -d 'How often to look' -r
complete -c pillion -n "__fish_pillion_using_subcommand top" -l once -d 'Look once, print it and end; so it is where the output is no terminal, too'
complete -c pillion -n "__fish_pillion_using_subcommand top" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand completions" -s h -l help -d 'Print help'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "run" -d 'Run the proxy, or the proxy around a program: `pillion run -- python agents.py`'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "demo" -d 'Simulated agents against a simulated model through the real proxy: no key, no network'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "check" -d 'Check the configuration and print what is in effect, with the origin of each value'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "simulate" -d 'The simulated model alone, with faults to order'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "dashboards" -d 'Write the Grafana dashboards and the Prometheus rules of this version'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "top" -d 'What a running Pillion\'s agents do, in this terminal and as it goes'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "completions" -d 'Print what a shell reads to complete verbs and flags'
complete -c pillion -n "__fish_pillion_using_subcommand help; and not __fish_seen_subcommand_from run demo check simulate dashboards top completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
