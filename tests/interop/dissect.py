"""What tshark makes of STUN and TURN messages."""
import json
import os
import struct
import subprocess


def dissect(tmp_path, messages):
    """What tshark says of each message, {field: [values]}; the messages as UDP datagrams to port 3478 in a pcap file."""
    path = tmp_path / "messages.pcap"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # LINKTYPE_RAW
        for message in messages:
            udp = struct.pack(">HHHH", 40000, 3478, 8 + len(message), 0) + message
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
            out.write(struct.pack("<IIII", 0, 0, len(ip + udp), len(ip + udp)) + ip + udp)
    text = subprocess.run(["tshark", "-r", str(path), "-T", "json", "--no-duplicate-keys", "-J", "stun"], timeout=120,
                          capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)}).stdout
    found = []
    for packet in json.loads(text):
        fields = {}
        collect(packet["_source"]["layers"].get("stun", {}), fields)
        found.append(fields)
    return found


def collect(tree, fields):
    for key, value in tree.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                fields.setdefault(key, [])
                collect(item, fields)
            else:
                fields.setdefault(key, []).append(item)
