
use builtin;
use str;

set edit:completion:arg-completer[pillion] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'pillion'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'pillion'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Run the proxy, or the proxy around a program: `pillion run -- python agents.py`'
            cand demo 'Simulated agents against a simulated model through the real proxy: no key, no network'
            cand check 'Check the configuration and print what is in effect, with the origin of each value'
            cand simulate 'The simulated model alone, with faults to order'
            cand dashboards 'Write the Grafana dashboards and the Prometheus rules of this version'
            cand top 'What a running Pillion''s agents do, in this terminal and as it goes'
            cand completions 'Print what a shell reads to complete verbs and flags'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'pillion;run'= {
            cand --config 'The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]'
            cand --listen 'Where agents connect [default: 127.0.0.1:4100]'
            cand --admin 'Where health and metrics are [default: 127.0.0.1:4101]'
            cand --upstream 'Send everything to this URL'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;demo'= {
            cand --for 'End after this long; else with Ctrl-C'
            cand --seed 'Same seed, same story'
            cand --listen 'Where the simulated agents connect, and others may [default: a free port of the loopback]'
            cand --admin 'Where health and metrics are [default: a free port of the loopback]'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;check'= {
            cand --config 'The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]'
            cand --listen 'Where agents connect [default: 127.0.0.1:4100]'
            cand --admin 'Where health and metrics are [default: 127.0.0.1:4101]'
            cand --upstream 'Send everything to this URL'
            cand --agent 'Show what is in effect for this agent'
            cand --model '… and this model'
            cand --path '… and this path'
            cand --probe 'Also try each upstream, hop by hop: DNS, TCP, TLS, HTTP, list of models, credentials'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;simulate'= {
            cand --listen 'Where it listens'
            cand --script 'A script of answers and faults (YAML or JSON); `--example` prints one'
            cand --seed 'Same seed, same answers'
            cand --latency 'Time to the first token'
            cand --tokens-per-second 'Pace of a stream; 0 is as fast as can be'
            cand --tls 'Serve TLS (and plain HTTP still) with a certificate for localhost of a CA made up now, which is written to this file'
            cand --tls-cert 'Serve TLS with this certificate chain (PEM)'
            cand --tls-key '… and its key (PEM)'
            cand --example 'Print a script with comments that shows every kind of answer and fault, and end'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;dashboards'= {
            cand --out 'The folder they go to: `DIR/*.json` and `DIR/alerts/pillion.rules.yaml`; files of an earlier version are written over'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;top'= {
            cand --admin 'The admin port to look at: an address or a URL [env: `PILLION_SERVER__ADMIN`] [default: 127.0.0.1:4101]'
            cand --token 'Its token; in the environment others on this machine cannot read it [env: `PILLION_SERVER__ADMIN_TOKEN`]'
            cand --interval 'How often to look'
            cand --once 'Look once, print it and end; so it is where the output is no terminal, too'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'pillion;help'= {
            cand run 'Run the proxy, or the proxy around a program: `pillion run -- python agents.py`'
            cand demo 'Simulated agents against a simulated model through the real proxy: no key, no network'
            cand check 'Check the configuration and print what is in effect, with the origin of each value'
            cand simulate 'The simulated model alone, with faults to order'
            cand dashboards 'Write the Grafana dashboards and the Prometheus rules of this version'
            cand top 'What a running Pillion''s agents do, in this terminal and as it goes'
            cand completions 'Print what a shell reads to complete verbs and flags'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'pillion;help;run'= {
        }
        &'pillion;help;demo'= {
        }
        &'pillion;help;check'= {
        }
        &'pillion;help;simulate'= {
        }
        &'pillion;help;dashboards'= {
        }
        &'pillion;help;top'= {
        }
        &'pillion;help;completions'= {
        }
        &'pillion;help;help'= {
        }
    ]
    $completions[$command]
}
