import platform

import pytest

from optimizers.training import processor


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (
            "processor\t: 0\nmodel\t\t: 1\nmodel name\t: Intel(R)  Xeon(R) CPU @ 2.20GHz \n",
            "Intel(R) Xeon(R) CPU @ 2.20GHz",
        ),
        ("processor\t: 0\nBogoMIPS\t: 108.00\n\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", ""),  # it has no name there
        (None, ""),
    ],
)
def test_a_processor_is_called_by_its_name_or_by_its_kind(file, name, tmp_path, monkeypatch):
    monkeypatch.setattr(processor.sys, "platform", "linux")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    if file is not None:
        (tmp_path / "cpuinfo").write_text(file)
    expected = name or platform.processor() or platform.machine()
    assert processor.processor_name.__wrapped__() == expected
