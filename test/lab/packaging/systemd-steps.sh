# What an operator does, on a machine with systemd: the package, `foremesh agent install`, the IKE daemon, the agent.
# Writes what came of it to /out, a file a question.
exec 2> /out/trace
set -x
umount -l /trial/outside
ip link set lo up
dpkg -i --force-depends /trial/package.deb > /out/dpkg
printf '[Service]\nExecStart=/usr/lib/ipsec/charon\n' > /etc/systemd/system/strongswan-starter.service
systemctl daemon-reload
printf 'berlin-gw1.%064d.not-a-secret-not-a-secret\n' 0 > /trial/token
foremesh-agent install --node berlin-gw1 --engine 127.0.0.1:9 --token-file /trial/token > /out/install; echo "$?" > /out/install.code
systemctl restart strongswan-starter
for _ in $(seq 300); do [ -S /run/charon.vici ] && [ -S /var/lib/foremesh/agent.sock ] && break; sleep 0.1; done
sleep 1
systemctl show foremesh-agent -p ActiveState,SubState,NRestarts,UnitFileState > /out/unit
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$(systemctl show foremesh-agent -p MainPID --value)/status" > /out/process
ask='const s=require("net").connect(process.argv[1]);s.on("data",(d)=>process.stdout.write(d)).on("error",(e)=>console.log(e.code))'
node -e "$ask" /var/lib/foremesh/agent.sock > /out/status
setpriv --reuid foremesh --regid foremesh --clear-groups foremesh-agent doctor --output json > /out/doctor
systemctl restart foremesh-agent; echo "$?" > /out/restart.code
for _ in $(seq 300); do [ -S /var/lib/foremesh/agent.sock ] && break; sleep 0.1; done
sleep 0.5
systemctl stop foremesh-agent; echo "$?" > /out/stop.code
systemctl show foremesh-agent -p Result,ExecMainStatus > /out/stopped
touch /out/done
