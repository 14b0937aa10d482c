# fish completion of torc, torcd and torc-authority.

complete -c torc -f
set -l torc_commands status peers counters ring route ping store fetch remove find config connect demo sim key version help
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a status -d 'what this peer is and how it does'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a peers -d 'its links'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a counters -d 'everything it counts'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a ring -d 'walk along the ring and draw it'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a route -d 'who is responsible, and the way there'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a ping -d 'ask a peer'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a store -d 'sign a value and store it'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a fetch -d 'fetch values and verify them'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a remove -d 'remove values'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a find -d 'the next resource with values of a type'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a config -d 'the overlay document it goes by'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a connect -d 'make a direct link'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a demo -d 'a whole overlay on this machine'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a sim -d 'a large ring in virtual time'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a key -d 'the key of a shared-key overlay'
complete -c torc -n "not __fish_seen_subcommand_from $torc_commands" -a 'version help'
set -l torc_asking status peers counters ring route ping store fetch remove find config connect
complete -c torc -n "__fish_seen_subcommand_from $torc_asking" -l socket -r -F -d 'control socket of torcd'
complete -c torc -n "__fish_seen_subcommand_from $torc_asking version" -l json -d 'print JSON'
complete -c torc -n "__fish_seen_subcommand_from $torc_asking demo sim key" -l help -d 'how it is used'
complete -c torc -n '__fish_seen_subcommand_from store fetch remove find' -l type -x -d 'type of the values'
complete -c torc -n '__fish_seen_subcommand_from store fetch remove' -l key -x -d 'key of a dictionary'
complete -c torc -n '__fish_seen_subcommand_from store fetch remove' -l index -x -d 'index of an array'
complete -c torc -n '__fish_seen_subcommand_from store remove' -l generation -x -d 'only if the counter is this'
complete -c torc -n '__fish_seen_subcommand_from store' -l append -d 'at the end of an array'
complete -c torc -n '__fish_seen_subcommand_from store' -l lifetime -x -a '15m 1h 1d 7d' -d 'how long it is kept'
complete -c torc -n '__fish_seen_subcommand_from store' -l file -r -F -d 'read the value from a file'
complete -c torc -n '__fish_seen_subcommand_from fetch' -l raw -d 'only the bytes'
complete -c torc -n '__fish_seen_subcommand_from fetch' -l replicas -d 'ask every holder'
complete -c torc -n '__fish_seen_subcommand_from find' -l walk -d 'round the whole ring'
complete -c torc -n '__fish_seen_subcommand_from config' -f -a reload -d 'take the document anew'
complete -c torc -n '__fish_seen_subcommand_from config' -l fetch -d 'over HTTPS'
complete -c torc -n '__fish_seen_subcommand_from ping' -l route-log -d 'show every hop'
complete -c torc -n '__fish_seen_subcommand_from ping' -l iterative -d 'follow redirects'
complete -c torc -n '__fish_seen_subcommand_from key; and not __fish_seen_subcommand_from new' -a new -d 'make one'
complete -c torc -n '__fish_seen_subcommand_from key' -F
complete -c torc -n '__fish_seen_subcommand_from key' -l passphrase -d 'from a passphrase on standard input'
complete -c torc -n '__fish_seen_subcommand_from key' -l overlay -x -d 'name of the overlay'
complete -c torc -n '__fish_seen_subcommand_from demo' -l peers -x -d '3 to 32'
complete -c torc -n '__fish_seen_subcommand_from demo' -l algorithm -x -a 'chord-128-2-8 full-mesh'
complete -c torc -n '__fish_seen_subcommand_from demo' -l signature -x -a 'ecdsa rsa'
complete -c torc -n '__fish_seen_subcommand_from demo' -l keep -d 'leave it running'
complete -c torc -n '__fish_seen_subcommand_from demo' -l dir -r -d 'work here'
complete -c torc -n '__fish_seen_subcommand_from sim' -a "list show search (type -q torc; and torc sim list 2>/dev/null | cut -d ' ' -f 1)"
complete -c torc -n '__fish_seen_subcommand_from sim' -l peers -x -d 'how many'
complete -c torc -n '__fish_seen_subcommand_from sim' -l algorithm -x -a 'chord-128-2-8 chord-128-2-24 full-mesh'
complete -c torc -n '__fish_seen_subcommand_from sim' -l seed -x -d 'of every choice'
complete -c torc -n '__fish_seen_subcommand_from sim' -l sweep -x -d 'SETTING=A,B,...'
complete -c torc -n '__fish_seen_subcommand_from sim' -l also -d 'another set of sweeps'
complete -c torc -n '__fish_seen_subcommand_from sim' -l threads -x -d 'workers'
complete -c torc -n '__fish_seen_subcommand_from sim' -l json -d 'print JSON lines'
complete -c torc -n '__fish_seen_subcommand_from sim' -l report -r -F -d 'page with plots'
complete -c torc -n '__fish_seen_subcommand_from sim' -l trace -r -F -d 'every message'
complete -c torc -n '__fish_seen_subcommand_from sim' -l seeds -x -d 'of the search'
complete -c torc -n '__fish_seen_subcommand_from sim' -l from -x -d 'first seed'
complete -c torc -n '__fish_seen_subcommand_from sim' -l all -d 'do not stop at a broken seed'
complete -c torc -n '__fish_seen_subcommand_from sim' -l print -d 'show the scenario of a seed'

complete -c torcd -l config -r -F -d 'configuration'
complete -c torcd -l check-config -d 'only say whether it is usable'
complete -c torcd -l version
complete -c torcd -l help

set -l authority_commands init issue show serve user issued backup restore config
complete -c torc-authority -n "not __fish_seen_subcommand_from $authority_commands" -f -a "$authority_commands"
complete -c torc-authority -n "not __fish_seen_subcommand_from $authority_commands" -l version
complete -c torc-authority -n "not __fish_seen_subcommand_from $authority_commands" -l help
complete -c torc-authority -n '__fish_seen_subcommand_from init issue show user issued backup restore config' -l json -d 'print JSON'
complete -c torc-authority -n '__fish_seen_subcommand_from init' -l overlay -x -d 'its name'
complete -c torc-authority -n '__fish_seen_subcommand_from init' -l algorithm -x -a 'chord-128-2-8 full-mesh'
complete -c torc-authority -n '__fish_seen_subcommand_from init' -l signature -x -a 'ecdsa rsa'
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l bootstrap -x -d 'HOST:PORT that others dial first'
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l type -x -d 'a private type'
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l update-period -x
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l ping-period -x
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l expiration -x
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l source -x -d 'URL of the next version of the document'
complete -c torc-authority -n '__fish_seen_subcommand_from init config' -l credential-server -x -d 'URL where certificates are asked for'
complete -c torc-authority -n '__fish_seen_subcommand_from init issue' -l force -d 'replace what is there'
complete -c torc-authority -n '__fish_seen_subcommand_from issue user' -l user -x -d 'user name'
complete -c torc-authority -n '__fish_seen_subcommand_from issue issued' -l account -x -d 'who it is for'
complete -c torc-authority -n '__fish_seen_subcommand_from issue' -l out -r -F -d 'prefix of the files'
complete -c torc-authority -n '__fish_seen_subcommand_from issue' -l days -x -d 'validity'
complete -c torc-authority -n '__fish_seen_subcommand_from issue' -l csr -r -F -d 'certificate request'
complete -c torc-authority -n '__fish_seen_subcommand_from serve' -l check -d 'only say whether it is usable'
complete -c torc-authority -n '__fish_seen_subcommand_from user' -l generate -d 'make a password'
complete -c torc-authority -n '__fish_seen_subcommand_from user' -l no-password -d 'no enrolment over the network'
complete -c torc-authority -n '__fish_seen_subcommand_from user' -a 'add grant passwd disable enable list'
complete -c torc-authority -n '__fish_seen_subcommand_from config' -a 'show check sign set sign-check'
