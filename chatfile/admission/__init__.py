"""Which clients may come in, and which came."""

from chatfile.admission.memory import MemoryAdmission, Place
from chatfile.admission.seats import Admission, ClientRecord, Seat

__all__ = ["Admission", "ClientRecord", "MemoryAdmission", "Place", "Seat"]
